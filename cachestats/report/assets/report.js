// Tables with search, sorting and filters, of the data that `data.js` loads. All data is shown as text.
"use strict";

(() => {
  const ANY = "";
  const NO_STACK = "none"; // specs without a stack
  const ROOT = "root"; // the union of all stacks
  const text = (value) => {
    const element = document.createElement("span");
    element.textContent = value;
    return element.innerHTML.replaceAll('"', "&quot;");
  };
  const shown = (value) => text(value === null || value === "" ? "–" : value);
  const number = (value) => (value === null ? "–" : value.toLocaleString("en"));
  // Return how a table renders a value: as `kind` writes it where it is shown, and as it is where it is sorted.
  const rendered = (kind) => (value, how) => (how === "display" ? kind(value) : value);
  const found = document.getElementById("found");

  function fill(select, options, chosen) {
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value, false, value === chosen)));
  }

  const options = {
    order: [],
    pageLength: 25,
    lengthMenu: [10, 25, 100, 1000],
    autoWidth: false,
    orderMulti: false,
    layout: { topStart: "search", topEnd: "pageLength", bottomStart: "info", bottomEnd: "paging" },
    language: { search: "Search", lengthMenu: "Rows _MENU_", emptyTable: "No rows match these filters" },
  };

  function table(element, columns) {
    // The rows in the page are for readers without scripts, and for the time until the scripts have run.
    document.querySelector(`${element} tbody`).replaceChildren();
    return new window.DataTable(element, { ...options, columns, deferRender: true });
  }

  // The table of packages.

  const filters = document.getElementById("filters");
  const loaded = new Map();
  const columns = ["target", "os", "compiler", "stacks"];

  let names = null; // of all columns, for which the snapshots have codes
  let compilers = []; // the name of each compiler, without its version

  // Load the columns of a snapshot, and which names it has in each of those that are filtered by.
  async function snapshot(name, address) {
    names ??= await cachestats.json("names.js");
    compilers = names.names.compiler.map((compiler) => (compiler ?? NO_STACK).split("@")[0]);
    const { columns: codes } = await cachestats.columns(address);
    const present = (column, nameOf) => [...new Set(codes[column])].sort((one, other) => one - other).map(nameOf);
    const offered = {
      target: present("target", (code) => names.names.target[code]),
      os: present("os", (code) => names.names.os[code]),
      compiler: [...new Set(present("compiler", (code) => compilers[code]))],
      stacks: [...new Set(present("stacks", setOf).flat())].sort(),
    };
    loaded.set(name, { codes, offered, numPackages: new Set(codes.package).size });
  }

  const setOf = (code) => (names.sets[code].length ? names.sets[code] : [NO_STACK]);

  function choices({ offered }, column) {
    return [[ANY, "any"], ...offered[column].map((name) => [name, name])];
  }

  function rows({ codes }) {
    const tests = columns
      .map((column) => [column, filters.elements[column].value])
      .filter(([, wanted]) => wanted !== ANY)
      .map(([column, wanted]) => [codes[column], allowed(column, wanted)]);
    const found = [];
    let total = null; // rows of a package follow one another
    for (let row = 0; row < codes.package.length; row += 1) {
      if (!tests.every(([column, isAllowed]) => isAllowed[column[row]])) continue;
      if (total?.package !== codes.package[row]) {
        total = { package: codes.package[row], versions: new Set(), specs: 0, stacks: new Set(), targets: new Set() };
        found.push(total);
      }
      total.versions.add(codes.version[row]);
      total.specs += 1;
      total.stacks.add(codes.stacks[row]);
      total.targets.add(codes.target[row]);
    }
    return found.map((total) => {
      const name = names.names.package[total.package];
      const newest = Math.min(...total.versions); // versions are in Spack's order, the newest first
      const stacks = new Set([...total.stacks].flatMap((code) => names.sets[code]));
      stacks.delete(ROOT);
      return {
        package: name,
        link: Object.hasOwn(names.links, name) ? names.links[name][0] : `packages/${name}.html`,
        version: names.names.version[newest],
        order: -newest,
        versions: total.versions.size,
        specs: total.specs,
        stacks: stacks.size,
        targets: total.targets.size,
      };
    });
  }

  // Return which codes of a column stand for a name.
  function allowed(column, wanted) {
    if (column === "stacks") return names.sets.map((_, code) => setOf(code).includes(wanted));
    return (column === "compiler" ? compilers : names.names[column]).map((name) => name === wanted);
  }

  async function packageTable() {
    const select = filters.elements.snapshot;
    const numbers = ["versions", "specs", "stacks", "targets"].map((data) => ({ data, className: "n", searchable: false }));
    let widget = null;
    let turn = 0;

    const state = () => new URLSearchParams(location.hash.slice(1));
    const option = (name) => [...select.options].find((one) => one.value === name);

    // Show the rows that match the filters; `wanted` holds the filters of a URL.
    async function show(wanted = null) {
      turn += 1;
      const mine = turn;
      const name = select.value;
      try {
        if (!loaded.has(name)) await snapshot(name, option(name).dataset.script);
      } catch (error) {
        found.textContent = `${name} cannot be shown: ${error.message}`;
        widget?.clear().draw();
        return;
      }
      if (mine !== turn) return; // another snapshot has been chosen in the meantime
      const data = loaded.get(name);
      const missing = [];
      columns.forEach((column) => {
        const field = filters.elements[column];
        const value = wanted ? wanted.get(column) ?? ANY : field.value;
        fill(field, choices(data, column), value);
        if (field.value !== value) {
          field.value = ANY;
          missing.push(value);
        }
      });
      if (wanted?.get("snapshot") && !option(wanted.get("snapshot"))) missing.unshift(wanted.get("snapshot"));
      const fitting = rows(data);
      if (widget) widget.clear().rows.add(fitting).draw();
      const chosen = columns.map((column) => [column, filters.elements[column].value]).filter(([, value]) => value !== ANY);
      const words = [name, ...chosen.map(([, value]) => value)].join(", ");
      const absent = missing.length ? `; there is no ${missing.join(", no ")}` : "";
      found.textContent = `${number(fitting.length)} of ${number(data.numPackages)} packages in ${words}${absent}`;
      if (widget) history.replaceState(null, "", `#${new URLSearchParams([["snapshot", name], ...chosen])}`);
    }

    function follow() {
      select.value = option(state().get("snapshot")) ? state().get("snapshot") : filters.dataset.snapshot;
      return show(state());
    }

    await follow();
    widget = table("#packages", [
      { data: "package", render: (name, kind, row) => (kind === "display" ? `<a href="${text(row.link)}">${text(name)}</a>` : name) },
      { data: "version", render: (name, kind, row) => ({ display: shown(name), sort: row.order, type: row.order })[kind] ?? name, className: "version" },
      ...numbers,
    ]);
    await follow();
    filters.addEventListener("change", () => show());
    filters.addEventListener("reset", (event) => {
      event.preventDefault();
      select.value = filters.dataset.snapshot;
      widget.search("");
      show(new URLSearchParams());
    });
    window.addEventListener("hashchange", follow);
    filters.hidden = false;
  }

  // The specs of one package.

  const target = document.getElementById("specs");
  async function specTable() {
    const { values, hashes, codes, snapshots: series } = await cachestats.json(target.dataset.script);
    const form = document.getElementById("choose");
    const select = form.elements.snapshot;
    const hash = (value) => `<code class="hash">${text(value)}</code> <button type="button" class="copy" data-copy="/${text(value)}" aria-label="Copy /${text(value.slice(0, 7))}">copy</button>`;
    const size = (value) => (value === null ? "–" : `${number(Math.round(value / 1000))} kB`);
    const hasSizes = values[6].some((value) => value !== null);
    // The rank of each version in Spack's order, which differs from text order, with the newest first.
    const newest = new Map(values[0].map((name, position) => [name, position]));
    const version = (value, how) => (how === "sort" || how === "type" ? -newest.get(value) : rendered(shown)(value, how));
    const widget = table("#specs", [
      { render: rendered(hash) },
      { render: version, className: "version" },
      ...[2, 3, 4].map(() => ({ render: rendered(shown) })),
      { render: rendered(shown), className: "stacks" },
      { render: rendered(shown), className: "variants" },
      { render: rendered(size), className: "n", visible: hasSizes },
      { render: rendered(shown) },
    ]);
    // If all specs have the same value, there is a single code.
    const code = (column, position) => (Array.isArray(codes[column]) ? codes[column][position] : codes[column]);
    const decoded = (position) => [hashes[position], ...values.map((names, column) => names[code(column, position)])];
    const choose = () => {
      const chosen = series[select.selectedIndex];
      let position = 0;
      const positions = chosen[1].map((distance) => (position += distance));
      widget.clear().rows.add(positions.map(decoded)).draw();
      if (select.selectedIndex || location.hash) history.replaceState(null, "", `#${new URLSearchParams({ snapshot: chosen[0] })}`);
      found.textContent = `${number(chosen[1].length)} ${chosen[1].length === 1 ? "spec" : "specs"} of ${chosen[0]}`;
    };
    const asked = new URLSearchParams(location.hash.slice(1)).get("snapshot");
    const there = series.some(([name]) => name === asked);
    fill(select, series.map(([name]) => [name, name]), there ? asked : series[0][0]);
    choose();
    select.addEventListener("change", choose);
    form.hidden = series.length < 2;
    // Specs are sorted by version, the newest first.
    completeHistory(series.map(([name, [first, ...others]]) => [name, others.length + 1, values[0][code(0, first)]]));
  }

  // The rows of all snapshots, once they are looked at: the page itself has the newest ones.

  function completeHistory(rows) {
    const note = document.getElementById("newest-only");
    if (!note) return;
    const element = document.getElementById("history");
    const { names: address, root } = element.dataset;
    const complete = async () => {
      const { snapshots } = await cachestats.json(address);
      const pages = new Map(snapshots.map(({ name, page }) => [name, page]));
      const link = (name) => `<a href="${text(root + pages.get(name))}">${text(name)}</a>`;
      const columns = [{ render: rendered(link) }, { render: rendered(number), className: "n" }, { render: text }];
      table("#history", columns).rows.add(rows).draw();
      note.remove();
    };
    element.closest("details").addEventListener("toggle", complete, { once: true });
  }

  // Tables whose rows stand in the page, and which are too long to be read from top to bottom.

  function longTables() {
    for (const element of document.querySelectorAll("table.long")) {
      if (element.tBodies[0].rows.length > 15) new window.DataTable(element, { ...options, pageLength: 10 });
    }
  }

  // How old the data is on the day on which the page is looked at, and whether that is more than usual.

  function age() {
    const element = document.getElementById("age");
    if (!element) return;
    const days = Math.floor((Date.now() - Date.parse(element.dataset.day)) / 86_400_000);
    if (days < 0) return; // a snapshot may be named after a day to come
    const usual = Number(element.dataset.usualDays) || 0;
    const [unit, length] = days < 14 ? ["day", 1] : days < 60 ? ["week", 7] : days < 730 ? ["month", 30.44] : ["year", 365.25];
    const words = days < 1 ? "today" : new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.floor(days / length), unit);
    element.append(` That was ${words}.`.replace("was today", "is today"));
    if (usual && days > Math.max(3 * usual, 7)) {
      element.classList.add("warning");
      element.append(` Snapshots usually come every ${usual === 1 ? "day" : `${usual} days`}: newer ones may be missing here.`);
    }
  }

  window.addEventListener("DOMContentLoaded", () => {
    if (filters) packageTable();
    if (target) specTable();
    longTables();
    age();
  });
})();
