"use strict";
// Everything that is shown was written by others: it becomes text, never HTML.
const ASK = 5000, PATIENCE = 8000, OLDEST = 60000, STEP = 200;
const $ = (id) => document.getElementById(id);
const make = (tag, className, ...children) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
};
/** Somebody's words: apart from ours whichever way they are written, and not longer than a screen. */
function isolated(text, longest = 400) {
  const characters = Array.from(text), element = make("bdi", "", text);
  if (characters.length > longest) {
    element.textContent = characters.slice(0, longest).join("") + "\u2026";
    element.title = text;
  }
  return element;
}
const badge = (text, className) => make("span", `badge ${className || ""}`, isolated(text));
const plural = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** `5 s`, `12 min`, `3 h`, `4 d`. */
function span(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}

/** Something that sorts as addresses do: IPv4 first. */
function addressKey(address) {
  if (!address) return "";
  if (!address.includes(":")) return "4" + address.split(".").map((part) => part.padStart(3, "0")).join("");
  const mapped = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    ((a << 8) | b).toString(16) + ":" + ((c << 8) | d).toString(16));
  const [head, tail] = mapped.split("::").map((half) => half.split(":").filter(Boolean));
  const zeros = tail ? Array(Math.max(0, 8 - head.length - tail.length)).fill("0") : [];
  return "6" + [...head, ...zeros, ...(tail || [])].map((part) => part.padStart(4, "0")).join("");
}

const SOURCES = { config: "good", extra: "good" };
const guestCell = (row) => {
  if (row.vmid === undefined) return [];
  const { guest, stale } = row;
  const cell = make("div", "", `${guest?.kind === "lxc" ? "CT" : "VM"} ${row.vmid} `, isolated(guest?.name ?? "", 120));
  if (stale) cell.append(" ", badge("stale", "warn"));
  cell.append(make("small", "", guest?.state ?? "", ...(stale ? [`; not looked at for ${span(stale.age)}: `, isolated(stale.why)] : [])));
  return [cell];
};
const COLUMNS = {
  name: { label: "Name", key: (row) => row.name, cell: (row) => [make("span", "name", row.name)] },
  address: { label: "Address", isPlain: true, key: (row) => addressKey(row.address), cell: (row) => row.address
    ? [make("span", "mono", row.address), ...(row.ptr ? [" ", badge("PTR")] : [])] : [] },
  guest: { label: "Guest", key: (row) => row.vmid ?? -1, cell: guestCell },
  names: { label: "Name", key: (row) => row.names.join(" "), cell: (row) => row.names.map((name) => make("div", "name", name)) },
  node: { label: "Node", key: (row) => row.node, cell: (row) => row.node ? [isolated(row.node)] : [] },
  nic: { label: "Interface", key: (row) => `${row.nic ?? ""} ${row.mac ?? ""}`, cell: (row) => row.nic === undefined || row.nic === null
    ? [] : [make("div", "", `net${row.nic}`, make("small", "mono", row.mac ?? ""))] },
  mac: { label: "MAC address", key: (row) => row.mac, cell: (row) => [make("span", "mono", row.mac)] },
  network: { label: "Network", key: (row) => row.network ?? "", cell: (row) => row.network ? [isolated(row.network)] : [] },
  source: { label: "Source", key: (row) => row.source, cell: (row) => [badge(row.source, SOURCES[row.source] ?? "info")] },
  age: { label: "Age", key: (row) => row.age ?? Infinity, cell: () => [], className: "age" },
  why: { label: "Why", key: (row) => row.why, cell: (row) => [row.why] },
};
const VIEWS = {
  records: { label: "Names", columns: ["name", "address", "guest", "node", "nic", "network", "source", "age"] },
  without: { label: "Without address", columns: ["names", "guest", "node"] },
  reservations: { label: "Reserved for DHCP", columns: ["name", "mac", "guest", "node", "nic"] },
  left_out: { label: "Left out", columns: ["guest", "node", "nic", "address", "why"] },
};
const shown = { view: "records", sort: null, down: false, limit: STEP };
let data = null, fetched = 0, answered = performance.now(), lost = false, asking = false;

/** The rows of each view, with what they are looked for by. */
function rows(snapshot) {
  const guests = new Map(snapshot.guests.map((guest) => [guest.vmid, guest]));
  const complete = (row) => {
    const guest = guests.get(row.vmid);
    const whole = { ...row, guest, node: guest?.node ?? "", stale: guest?.stale ?? null };
    const kind = row.source && (row.source in SOURCES ? "static" : "dynamic");
    whole.text = [row.name, ...(row.names ?? []), row.address, row.mac, row.network, row.source, kind, row.why, whole.node, guest?.name,
      guest?.state, guest && (guest.kind === "lxc" ? "ct" : "vm"), row.vmid, row.nic !== undefined && `net${row.nic}`, guest?.stale && "stale"]
      .filter((part) => part || part === 0).join(" ").toLowerCase();
    return whole;
  };
  return {
    records: snapshot.records.map(complete),
    without: snapshot.guests.filter((guest) => guest.names.length && !guest.records)
      .map((guest) => complete({ vmid: guest.vmid, names: guest.names })),
    reservations: snapshot.reservations.map(complete),
    left_out: snapshot.left_out.map(complete),
  };
}

function selected() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const node = $("node").value, source = $("source").value, stale = $("stale").checked;
  const found = data.rows[shown.view].filter((row) => words.every((word) => row.text.includes(word))
    && (!node || row.node === node) && (!source || row.source === undefined || row.source === source) && (!stale || row.stale));
  if (shown.sort) {
    const { key, isPlain } = COLUMNS[shown.sort], sign = shown.down ? -1 : 1;
    const inWords = new Intl.Collator("en", { numeric: true }).compare, inOrder = (a, b) => (a < b ? -1 : Number(a > b));
    const keyed = found.map((row) => [key(row), row]);
    keyed.sort(([a], [b]) => sign * (isPlain || typeof a === "number" ? inOrder(a, b) : inWords(a, b)));
    return keyed.map(([, row]) => row);
  }
  return found;
}

function table() {
  const view = VIEWS[shown.view];
  const found = selected();
  const heads = view.columns.map((column) => {
    const button = make("button", "", COLUMNS[column].label);
    button.type = "button";
    button.addEventListener("click", () => {
      shown.down = shown.sort === column && !shown.down;
      shown.sort = column;
      table();
    });
    const head = make("th", "", button);
    head.scope = "col";
    if (shown.sort === column) head.ariaSort = shown.down ? "descending" : "ascending";
    return head;
  });
  const focused = [...$("table").tHead.querySelectorAll("button")].indexOf(document.activeElement);
  $("table").tHead.replaceChildren(make("tr", "", ...heads));
  if (focused >= 0) heads[focused]?.firstChild.focus();
  $("table").tBodies[0].replaceChildren(...found.slice(0, shown.limit).map((row) => make("tr", "", ...view.columns.map((column) => {
    const cell = make("td", COLUMNS[column].className, ...COLUMNS[column].cell(row));
    cell.dataset.label = COLUMNS[column].label;
    if (column === "age") cell.age = row.age;
    return cell;
  }))));
  ages();
  const all = data.rows[shown.view].length, number = Math.min(found.length, shown.limit);
  $("count").textContent = (found.length === all ? "" : `${found.length.toLocaleString("en")} of `) + plural(all, "row", "rows");
  $("more").hidden = number === found.length;
  $("more").textContent = `Show more (${(found.length - number).toLocaleString("en")} are not shown)`;
  $("table").hidden = found.length === 0;
  $("nothing").hidden = found.length > 0;
  $("nothing").textContent = all ? "Nothing is like that." : "There is nothing here.";
}

function ages() {
  const since = (performance.now() - fetched) / 1000;
  for (const cell of document.querySelectorAll("td.age")) {
    if (cell.age !== undefined) cell.textContent = span(cell.age + since);
  }
}

function tile(title, value, detail, ...more) {
  return make("div", "tile", make("h2", "", title), make("strong", "", value), make("small", "", detail), ...more);
}

function summary(snapshot) {
  const fixed = snapshot.records.filter((row) => row.source in SOURCES).length;
  const stale = snapshot.guests.filter((guest) => guest.stale).length;
  const without = data.rows.without.length;
  const nodes = make("div", "tile wide", make("h2", "", "Nodes"),
    ...snapshot.nodes.map((node) => badge(`${node.name} ${node.online ? "online" : "offline"}`, node.online ? "good" : "bad")));
  const dnsmasq = { answers: "answers", starting: "starts", down: "is down", not_asked: "another's" }[snapshot.dnsmasq.state];
  $("tiles").replaceChildren(
    tile("Names", snapshot.records.length.toLocaleString("en"), `${fixed} static, ${snapshot.records.length - fixed} dynamic`),
    tile("Guests", snapshot.guests.length.toLocaleString("en"), `${without} without address`, ...(stale ? [make("div", "", badge(`${stale} stale`, "warn"))] : [])),
    tile("dnsmasq", dnsmasq, isolated(snapshot.dnsmasq.why ?? `${plural(snapshot.reservations.length, "name", "names")} reserved`)),
    tile("Last round", make("span", "round"), "of questions to Proxmox"),
    nodes);
  $("warnings").hidden = !snapshot.warnings.length;
  $("warnings").firstElementChild.textContent = plural(snapshot.warnings.length, "warning", "warnings");
  $("warnings").lastElementChild.replaceChildren(...snapshot.warnings.slice(0, 500).map((text) => make("li", "", isolated(text))));
}

function options(select, values) {
  const value = select.value, first = select.options[0];
  select.replaceChildren(first, ...[...new Set(values)].filter(Boolean).sort().map((text) => new Option(text, text)));
  select.value = [...select.options].some((option) => option.value === value) ? value : "";
}

function tabs() {
  $("tabs").replaceChildren(...Object.entries(VIEWS).map(([name, view]) => {
    const tab = make("button", "", `${view.label} `, badge(data.rows[name].length.toLocaleString("en")));
    tab.type = "button";
    tab.setAttribute("aria-current", String(name === shown.view));
    tab.addEventListener("click", () => {
      Object.assign(shown, { view: name, sort: null, down: false, limit: STEP });
      tabs();
      table();
    });
    return tab;
  }));
}

function health(state) {
  const pill = $("health");
  lost = !state;
  document.body.classList.toggle("old", lost);
  if (lost) {
    pill.className = "pill bad";
    pill.textContent = `The program has not answered for ${span((performance.now() - answered) / 1000)}` + (data ? ": what is shown is old" : "");
    return;
  }
  pill.className = state.healthy ? "pill good" : "pill bad";
  pill.textContent = state.healthy ? "All is well" : state.why;
  const round = document.querySelector(".round");
  if (round) round.textContent = state.last_round === null ? "none yet" : `${span(state.last_round)} ago`;
  $("troubles").hidden = !state.troubles.length;
  $("troubles").replaceChildren(...state.troubles.slice(0, 50).map((text) => make("li", "bad", isolated(text))));
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.json();
}

const isOther = (state) => state.run !== data.state.run || state.version !== data.state.version;

async function refresh() {
  if (asking || (document.hidden && data)) return;
  asking = true;
  try {
    let state = await ask("/api/state");
    if (!data || isOther(state) || performance.now() - fetched > OLDEST) {
      const next = await ask("/api/records");
      const isNew = !data || isOther(next.state);
      fetched = performance.now();
      state = next.state;
      data = { ...next, rows: rows(next.snapshot) };
      summary(data.snapshot);
      options($("node"), data.snapshot.guests.map((guest) => guest.node));
      options($("source"), data.snapshot.records.map((row) => row.source));
      tabs();
      if (isNew) table();
    }
    answered = performance.now();
    health(state);
  } catch {
    health(null);
  } finally {
    asking = false;
  }
  ages();
}

for (const id of ["filter", "node", "source", "stale"]) {
  $(id).addEventListener("input", () => {
    shown.limit = STEP;
    if (data) table();
  });
}
$("more").addEventListener("click", () => {
  shown.limit += 5 * STEP;
  table();
});
addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    $("filter").focus();
  }
});
addEventListener("visibilitychange", refresh);
setInterval(refresh, ASK);
refresh();
