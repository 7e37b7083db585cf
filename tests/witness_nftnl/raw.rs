//! What nftnl has no words for, by libnftnl's own functions. All the `unsafe` of this witness is here.

use nftnl::expr::Expression;
use nftnl::nftnl_sys::{self as sys, libc};
use nftnl::{MsgType, NlMsg, ProtoFamily};
use std::ffi::{CString, c_void};
use std::ptr::NonNull;

fn short(attribute: u32) -> u16 {
    u16::try_from(attribute).unwrap()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

/// An expression of libnftnl's, by name, with these attributes (NFTNL_EXPR_*).
#[derive(Default)]
pub(crate) struct Raw {
    pub(crate) name: &'static str,
    pub(crate) numbers: Vec<(u32, u32)>,
    pub(crate) short_numbers: Vec<(u32, u16)>,
    pub(crate) long_numbers: Vec<(u32, u64)>,
    pub(crate) data: Vec<(u32, Vec<u8>)>,
    pub(crate) text: Option<(u32, CString)>,
    /// Expressions of an expression.
    pub(crate) inner: Option<(u32, &'static str)>,
}

impl Expression for Raw {
    fn to_expr(&self, _: &nftnl::Rule) -> NonNull<sys::nftnl_expr> {
        let name = CString::new(self.name).unwrap();
        // SAFETY: the expression is made here, so nobody else has it; libnftnl copies texts and data out of buffers that
        // live throughout, and takes over the inner expression.
        unsafe {
            let expression = NonNull::new(sys::nftnl_expr_alloc(name.as_ptr())).unwrap();
            for (attribute, number) in &self.numbers {
                sys::nftnl_expr_set_u32(expression.as_ptr(), short(*attribute), *number);
            }
            for (attribute, number) in &self.short_numbers {
                sys::nftnl_expr_set_u16(expression.as_ptr(), short(*attribute), *number);
            }
            for (attribute, number) in &self.long_numbers {
                sys::nftnl_expr_set_u64(expression.as_ptr(), short(*attribute), *number);
            }
            for (attribute, data) in &self.data {
                let set = sys::nftnl_expr_set(
                    expression.as_ptr(),
                    short(*attribute),
                    data.as_ptr().cast::<c_void>(),
                    length(data),
                );
                assert_eq!(set, 0);
            }
            if let Some((attribute, text)) = &self.text {
                assert_eq!(sys::nftnl_expr_set_str(expression.as_ptr(), short(*attribute), text.as_ptr()), 0);
            }
            if let Some((attribute, name)) = self.inner {
                let name = CString::new(name).unwrap();
                let inner = sys::nftnl_expr_alloc(name.as_ptr());
                assert!(!inner.is_null());
                sys::nftnl_expr_add_expr(expression.as_ptr(), attribute, inner);
            }
            expression
        }
    }
}

/// User data as libnftnl writes it: types, lengths, values.
pub(crate) enum UserData {
    Number(u8, u32),
    Text(u8, CString),
    Nested(u8, Vec<UserData>),
}

/// The bytes.
pub(crate) fn user_data(all: &[UserData]) -> Vec<u8> {
    // SAFETY: the buffer lives from alloc to free, is large enough for what is put there (which libnftnl says
    // otherwise), and its bytes are copied in between.
    unsafe {
        let buffer = sys::nftnl_udata_buf_alloc(1024);
        assert!(!buffer.is_null());
        put(buffer, all);
        let data = sys::nftnl_udata_buf_data(buffer).cast::<u8>();
        let bytes =
            std::slice::from_raw_parts(data, usize::try_from(sys::nftnl_udata_buf_len(buffer)).unwrap()).to_vec();
        sys::nftnl_udata_buf_free(buffer);
        bytes
    }
}

/// # Safety
/// The buffer lives.
unsafe fn put(buffer: *mut sys::nftnl_udata_buf, all: &[UserData]) {
    for one in all {
        // SAFETY: our caller vouches for the buffer; a text lives throughout and ends with NUL.
        unsafe {
            match one {
                UserData::Number(kind, number) => assert!(sys::nftnl_udata_put_u32(buffer, *kind, *number)),
                UserData::Text(kind, text) => assert!(sys::nftnl_udata_put_strz(buffer, *kind, text.as_ptr())),
                UserData::Nested(kind, inner) => {
                    let nest = sys::nftnl_udata_nest_start(buffer, *kind);
                    assert!(!nest.is_null());
                    put(buffer, inner);
                    sys::nftnl_udata_nest_end(buffer, nest);
                }
            }
        }
    }
}

/// A set of libnftnl's.
pub(crate) struct RawSet {
    set: NonNull<sys::nftnl_set>,
    family: ProtoFamily,
}

impl Drop for RawSet {
    fn drop(&mut self) {
        // SAFETY: it is ours, and not used any more.
        unsafe { sys::nftnl_set_free(self.set.as_ptr()) };
    }
}

impl RawSet {
    /// A set with a name, for messages about elements.
    pub(crate) fn new(table: &str, family: ProtoFamily, name: &str) -> Self {
        // SAFETY: the set is made here; libnftnl copies the texts.
        unsafe {
            let set = NonNull::new(sys::nftnl_set_alloc()).unwrap();
            for (attribute, text) in [(sys::NFTNL_SET_TABLE, table), (sys::NFTNL_SET_NAME, name)] {
                let text = CString::new(text).unwrap();
                assert_eq!(sys::nftnl_set_set_str(set.as_ptr(), short(attribute), text.as_ptr()), 0);
            }
            Self { set, family }
        }
    }

    pub(crate) fn number(self, attribute: sys::nftnl_set_attr, number: u32) -> Self {
        // SAFETY: the set is ours, and the attribute is a u32.
        unsafe { sys::nftnl_set_set_u32(self.set.as_ptr(), short(attribute), number) };
        self
    }

    pub(crate) fn long_number(self, attribute: sys::nftnl_set_attr, number: u64) -> Self {
        // SAFETY: the set is ours, and the attribute is a u64.
        unsafe { sys::nftnl_set_set_u64(self.set.as_ptr(), short(attribute), number) };
        self
    }

    pub(crate) fn data(self, attribute: sys::nftnl_set_attr, data: &[u8]) -> Self {
        // SAFETY: the set is ours, and libnftnl copies the data.
        unsafe {
            let data_at = data.as_ptr().cast::<c_void>();
            assert_eq!(sys::nftnl_set_set_data(self.set.as_ptr(), short(attribute), data_at, length(data)), 0);
        }
        self
    }

    /// A counter for each element.
    pub(crate) fn counted(self) -> Self {
        // SAFETY: the set is ours, and takes over the expression.
        unsafe {
            let counter = sys::nftnl_expr_alloc(c"counter".as_ptr());
            assert!(!counter.is_null());
            sys::nftnl_set_add_expr(self.set.as_ptr(), counter);
        }
        self
    }

    pub(crate) fn element(&self, key: &[u8], key_end: Option<&[u8]>, comment: Option<&str>) {
        let comment = comment.map(|comment| user_data(&[UserData::Text(0, CString::new(comment).unwrap())]));
        let parts = [
            (sys::NFTNL_SET_ELEM_KEY, Some(key)),
            (sys::NFTNL_SET_ELEM_KEY_END, key_end),
            (sys::NFTNL_SET_ELEM_USERDATA, comment.as_deref()),
        ];
        // SAFETY: the element is made here, and the set takes it over; libnftnl copies the data.
        unsafe {
            let element = sys::nftnl_set_elem_alloc();
            assert!(!element.is_null());
            for (attribute, part) in parts {
                if let Some(part) = part {
                    let data = part.as_ptr().cast::<c_void>();
                    assert_eq!(sys::nftnl_set_elem_set(element, short(attribute), data, length(part)), 0);
                }
            }
            sys::nftnl_set_elem_add(self.set.as_ptr(), element);
        }
    }
}

/// The message which makes a set.
pub(crate) struct NewSet<'a>(pub(crate) &'a RawSet);

// SAFETY: writes names, numbers, and user data of at most 256 bytes, which is less than the largest message.
unsafe impl NlMsg for NewSet<'_> {
    unsafe fn write(&self, buffer: *mut c_void, sequence: u32, _: MsgType) {
        // SAFETY: our caller vouches for the buffer; the set lives for as long as `self`.
        unsafe {
            let header = header(buffer, libc::NFT_MSG_NEWSET, self.0.family, libc::NLM_F_CREATE, sequence);
            sys::nftnl_set_nlmsg_build_payload(header, self.0.set.as_ptr());
        }
    }
}

/// The message which puts the elements of a set there, or takes them away: all, if there are none in particular.
pub(crate) struct ElementsOf<'a>(pub(crate) &'a RawSet);

// SAFETY: writes what fits into an attribute of 64 KiB, which is less than the largest message.
unsafe impl NlMsg for ElementsOf<'_> {
    unsafe fn write(&self, buffer: *mut c_void, sequence: u32, kind: MsgType) {
        let (kind, flags) = match kind {
            MsgType::Add => (libc::NFT_MSG_NEWSETELEM, libc::NLM_F_CREATE),
            MsgType::Del => (libc::NFT_MSG_DELSETELEM, 0),
        };
        // SAFETY: our caller vouches for the buffer; the set lives for as long as `self`.
        unsafe {
            let header = header(buffer, kind, self.0.family, flags, sequence);
            sys::nftnl_set_elems_nlmsg_build_payload(header, self.0.set.as_ptr());
        }
    }
}

/// # Safety
/// The buffer has room for the largest message.
unsafe fn header(
    buffer: *mut c_void,
    kind: i32,
    family: ProtoFamily,
    flags: i32,
    sequence: u32,
) -> *mut libc::nlmsghdr {
    let (kind, flags) = (u16::try_from(kind).unwrap(), u16::try_from(flags).unwrap());
    // SAFETY: our caller vouches for the buffer.
    unsafe { sys::nftnl_nlmsg_build_hdr(buffer.cast(), kind, family as u16, flags, sequence) }
}
