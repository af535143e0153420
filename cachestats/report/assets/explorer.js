// The explorer: a page that asks questions (`answers.js`) and draws the answers. The address holds the whole question,
// so that it can be sent, reloaded and gone back to; whatever is chosen changes the address, and nothing else does.
//
// Charts are tables whose cells have colours and bars: they are read by screen readers, searched and copied as they are,
// and take no library. Those that were looked at draw on a canvas or in SVG, which would need the same table beside it.
"use strict";

cachestats.explorer = (() => {
  const { answers, reuse } = cachestats;
  const TITLES = {
    stack: "stack",
    target: "target",
    os: "OS",
    compiler: "compiler",
    compiler_name: "compiler name",
    libc: "libc",
    platform: "platform",
    package: "package",
    version: "version",
    snapshot: "snapshot",
    reuse: "reuse by the host",
  };
  const MEASURES = { packages: "packages", specs: "specs", share: "share of packages", bytes: "bytes" };
  const [MOST_ROWS, MOST_COLUMNS] = [50, 25];
  const MOST_BARS = 100;
  const MOST_LABELS = 8; // of a filter, before its search
  const MOST_SPECS = 25;
  const MANY_COLUMNS = 8; // from here on, their names stand upright
  const COMPARED =
    "+ and − count what only one of the snapshots has in the cell, even if the other has it elsewhere. Unlike in " +
    "cachestats compare, this includes what Spack only began to treat as a package, such as compiler-wrapper.";
  const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];

  const byId = (id) => document.getElementById(id);
  const form = byId("question");
  const searches = new Map(); // what is searched for among the labels of a filter
  const specScripts = new Map(); // the specs of a package
  let report = null;
  let question = null;
  let answer = null;
  let turn = 0;
  let timesMore = 1; // how many times as many rows and columns are shown
  const times = { startedAfter: null, took: null }; // milliseconds until the first answer, and for the last one

  // Elements. Names are only ever set as text.

  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in made) made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  const share = (made, part) => {
    made.style.setProperty("--share", Math.min(1, part || 0).toFixed(4));
    return made;
  };

  const shown = (label) => label ?? "none";
  const count = (number) => number.toLocaleString("en");
  const percent = (part) =>
    part.toLocaleString("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

  function bytes(size) {
    let [value, unit] = [size, 0];
    for (; value >= 1000 && unit + 1 < SIZES.length; unit += 1) value /= 1000;
    return `${value.toLocaleString("en", { maximumFractionDigits: value < 10 && unit ? 1 : 0 })} ${SIZES[unit]}`;
  }

  function titleOf(name) {
    return name.startsWith(answers.VARIANT) ? `variant ${name.slice(answers.VARIANT.length)}` : (TITLES[name] ?? name);
  }

  const amount = (value) => (({ share: percent, bytes })[question.measure] ?? count)(value);
  const thing = (number) =>
    question.measure === "bytes" ? bytes(number) : counted(number, question.measure === "specs" ? "spec" : "package");

  // The question.

  const address = () => location.hash.slice(1);

  function ask(changes) {
    timesMore = 1;
    const next = { ...question, cell: null, ...changes };
    if (answers.addressOf(next) === answers.addressOf(question)) draw();
    else location.hash = answers.addressOf(next);
  }

  function toggled(name, label) {
    const filters = new Map(question.filters);
    const labels = filters.get(name) ?? [];
    const left = labels.includes(label) ? labels.filter((one) => one !== label) : [...labels, label];
    if (left.length) filters.set(name, left);
    else filters.delete(name);
    return filters;
  }

  async function follow() {
    turn += 1;
    const mine = turn;
    question = answers.asked(address(), report);
    byId("trouble").replaceChildren();
    byId("explorer").ariaBusy = "true";
    fillForm();
    try {
      const started = performance.now();
      const progress = (doing) => {
        if (mine === turn) byId("found").textContent = `${doing} …`;
      };
      const limits = { mostRows: MOST_ROWS * timesMore, mostColumns: MOST_COLUMNS * timesMore };
      const found = await answers.answer(question, report, { ...limits, progress, pause: () => pause(mine) });
      if (mine !== turn) return; // another question was asked in the meantime
      answer = found;
      draw();
      times.startedAfter ??= performance.now();
      times.took = performance.now() - started;
    } catch (error) {
      if (mine === turn) complain(error);
      return;
    }
    if (!question.cell) byId("cell").hidden = true;
    else
      await drawCell(mine).catch((error) => {
        if (mine === turn) complain(error);
      });
    if (mine === turn) byId("explorer").ariaBusy = "false";
  }

  // Let the page take clicks and keys, and end a question if another one was asked by then.
  async function pause(mine) {
    await new Promise((resume) => setTimeout(resume));
    if (mine !== turn) throw new Error("another question was asked");
  }

  function complain(error) {
    const known = error instanceof answers.QuestionError || error instanceof cachestats.expressions.ExpressionError;
    const words = known ? error.message : `this cannot be shown: ${error.message}`;
    const place =
      error.position === undefined || error.position === null
        ? []
        : [element("code", {}, `${question.spec}\n${" ".repeat(error.position)}^`)];
    byId("trouble").replaceChildren(words, ...place);
    byId("found").textContent = "";
    byId("explorer").hidden = true;
    byId("cell").hidden = true;
    drawChosen();
  }

  // The form.

  function options(select, values, chosen) {
    select.replaceChildren(...values.map(([value, label]) => new Option(label, value, false, value === chosen)));
    select.value = chosen;
  }

  function fillForm() {
    const { snapshots } = report.names;
    const names = [...snapshots].reverse().map((one) => [one.name, one.name]);
    const dimensions = Object.keys(TITLES).filter((name) => name !== "reuse" || question.host);
    for (const name of ["rows", "columns"]) {
      const own = question[name].startsWith(answers.VARIANT) ? [[question[name], titleOf(question[name])]] : [];
      options(
        form.elements[name],
        [...dimensions.map((one) => [one, TITLES[one]]), ...own, [answers.VARIANT, "a variant …"]],
        question[name],
      );
    }
    options(
      form.elements.measure,
      Object.entries(MEASURES).filter(([name]) => name !== "bytes" || report.names.has_sizes),
      question.measure,
    );
    options(form.elements.snapshot, names, question.snapshot);
    options(
      form.elements.before,
      [["", "nothing"], ...names.filter(([name]) => name !== question.snapshot)],
      question.before,
    );
    const isOverTime = [question.rows, question.columns].includes("snapshot");
    form.elements.snapshot.disabled = isOverTime;
    form.elements.before.disabled = isOverTime;
    form.elements.denominator.value = question.denominator;
    byId("of").hidden = question.measure !== "share";
    const [target, system] = (question.host || ":").split(":");
    form.elements.host_target.value = target;
    form.elements.host_system.value = system;
    form.elements.spec.value = question.spec;
    showVariant();
    byId("ask-order").value = question.order;
    for (const button of document.querySelectorAll("[data-view]"))
      button.ariaPressed = String(button.dataset.view === question.view);
  }

  function showVariant() {
    const chosen = ["rows", "columns"]
      .map((name) => form.elements[name].value)
      .find((name) => name.startsWith(answers.VARIANT));
    form.elements.variant.parentElement.hidden = chosen === undefined;
    form.elements.variant.value = chosen?.slice(answers.VARIANT.length) ?? "";
    if (chosen !== undefined && !byId("variants").children.length) offerVariants();
  }

  async function offerVariants() {
    const { names } = await report.variants();
    const found = new Set(names.map((text) => cachestats.expressions.splitVariant(text)[0]));
    byId("variants").replaceChildren(...[...found].sort().map((name) => new Option(name, name)));
  }

  function offerHosts() {
    const { runs, libcs } = report.names.hosts;
    const families = groupedBy(Object.keys(runs), (name) => runs[name].at(-1));
    const group = (label, names) => element("optgroup", { label }, ...names.map((name) => new Option(name, name)));
    form.elements.host_target.replaceChildren(
      new Option("any", ""),
      ...[...families].map(([family, names]) => group(family, names)),
    );
    const natural = new Intl.Collator("en", { numeric: true }).compare;
    const versions = [...new Set([...Object.values(libcs), ...report.names.names.libc])].filter(Boolean).sort(natural);
    const systems = Object.keys(libcs).sort(natural);
    form.elements.host_system.replaceChildren(
      new Option("any", ""),
      group("operating systems", systems),
      group("C libraries", versions),
    );
  }

  function groupedBy(values, keyOf) {
    const found = new Map();
    for (const value of values) found.set(keyOf(value), [...(found.get(keyOf(value)) ?? []), value]);
    return found;
  }

  function formChanged({ target }) {
    const {
      rows,
      columns,
      measure,
      denominator,
      snapshot,
      before,
      host_target: hostTarget,
      host_system: hostSystem,
      spec,
      variant,
    } = form.elements;
    const dimension = (select) =>
      select.value === answers.VARIANT || (target === variant && select.value.startsWith(answers.VARIANT))
        ? `${answers.VARIANT}${variant.value.trim()}`
        : select.value;
    if ([rows, columns].includes(target) && target.value === answers.VARIANT) {
      showVariant();
      variant.focus();
      return;
    }
    if ([rows, columns].includes(target) && rows.value === columns.value) {
      // The two change places.
      const other = target === rows ? "columns" : "rows";
      form.elements[other].value = question[target === rows ? "rows" : "columns"];
    }
    const isHalf = Boolean(hostTarget.value) !== Boolean(hostSystem.value);
    if (isHalf && [hostTarget, hostSystem].includes(target)) {
      byId("found").textContent =
        `Choose the ${hostTarget.value ? "operating system or libc" : "target"} of the host, too.`;
      if (target.value) return;
    }
    const host = isHalf || !hostTarget.value ? "" : `${hostTarget.value}:${hostSystem.value}`;
    const filters = new Map(question.filters);
    const axes = { rows: dimension(rows), columns: dimension(columns) };
    if (!host) {
      filters.delete("reuse");
      for (const name of ["rows", "columns"]) if (axes[name] === "reuse") axes[name] = "";
    }
    ask({
      ...axes,
      measure: measure.value,
      denominator: denominator.value,
      snapshot: snapshot.value,
      before: before.value === snapshot.value ? "" : before.value,
      host,
      spec: spec.value.trim(),
      filters,
    });
  }

  // The answer.

  function draw() {
    const focused = document.activeElement?.dataset?.key;
    byId("explorer").hidden = false;
    byId("heading").textContent = heading();
    document.title = document.title.replace(/^[^·]*/, `${heading()} `);
    byId("found").textContent = summary();
    drawChosen();
    drawFacets();
    drawLegend();
    if (question.view === "bars") drawBars();
    else drawHeat();
    if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  function heading() {
    const what = { packages: "Packages", specs: "Specs", share: "Share of packages", bytes: "Bytes" }[question.measure];
    const host = question.host ? ` that ${question.host} can reuse` : "";
    const isOverTime = [question.rows, question.columns].includes("snapshot");
    const where = isOverTime
      ? ""
      : ` in ${question.snapshot}${question.before ? `, compared with ${question.before}` : ""}`;
    return `${what}${host} by ${titleOf(question.rows)} and ${titleOf(question.columns)}${where}`;
  }

  function summary() {
    const { all } = answer;
    const number = question.measure === "share" ? counted(all.number, "package") : thing(all.value);
    const host = question.host
      ? ` of ${question.measure === "bytes" ? bytes(all.all) : count(all.all)} can be reused`
      : "";
    if (all.isEmpty) return "Nothing passes these filters.";
    return `${number}${host}, in ${counted(answer.numRows, "row")} and ${counted(answer.numColumns, "column")}.`;
  }

  function drawChosen() {
    const chips = [...question.filters].flatMap(([name, labels]) =>
      labels.map((label) =>
        element(
          "li",
          {},
          element(
            "button",
            {
              type: "button",
              onclick: () => ask({ filters: toggled(name, label) }),
              ariaLabel: `Remove the filter ${titleOf(name)} ${shown(label)}`,
            },
            `${titleOf(name)}: ${shown(label)} ✕`,
          ),
        ),
      ),
    );
    byId("chosen").replaceChildren(...chips);
  }

  function drawFacets() {
    const summaryOf = byId("facets").querySelector("summary");
    byId("facets").replaceChildren(summaryOf, ...answer.facets.map(facet));
  }

  function facet({ name, labels, values }) {
    const chosen = new Set(question.filters.get(name) ?? []);
    const present = labels
      .map((label, place) => ({ label, value: values[place] }))
      .filter(({ label, value }) => value > 0 || chosen.has(label));
    const isOne = name === "package" && answer.counted.by === "package"; // each counts once
    const list = element("div");
    const largest = Math.max(...present.map((one) => one.value), 1);
    const box = ({ label, value }) => {
      const input = element("input", {
        type: "checkbox",
        checked: chosen.has(label),
        onchange: () => ask({ filters: toggled(name, label) }),
      });
      input.dataset.key = `facet:${name}:${label}`;
      return share(
        element(
          "label",
          {},
          input,
          element("span", {}, shown(label)),
          element(
            "span",
            { className: "n soft" },
            isOne ? "" : question.measure === "bytes" ? bytes(value) : count(value),
          ),
        ),
        isOne ? 0 : value / largest,
      );
    };
    const fill = () => {
      const wanted = (searches.get(name) ?? "").toLowerCase();
      const fitting = present.filter(({ label }) => shown(label).toLowerCase().includes(wanted));
      fitting.sort((one, other) => chosen.has(other.label) - chosen.has(one.label) || other.value - one.value);
      list.replaceChildren(...fitting.slice(0, Math.max(MOST_LABELS, chosen.size)).map(box));
      const others = fitting.length - list.children.length;
      if (others > 0) list.append(element("span", { className: "soft" }, `${count(others)} more`));
    };
    fill();
    const search = element("input", {
      type: "search",
      placeholder: "search …",
      value: searches.get(name) ?? "",
      ariaLabel: `Search ${titleOf(name)}`,
      oninput: (event) => {
        searches.set(name, event.target.value);
        fill();
      },
    });
    return element(
      "fieldset",
      {},
      element("legend", {}, titleOf(name)),
      ...(present.length > MOST_LABELS ? [search] : []),
      list,
    );
  }

  // How much of the colour a cell has, from 0 to 1, and whether it is the colour of a loss.
  function strength(cell, largest) {
    return largest ? Math.abs(weight(cell)) / largest : 0;
  }

  function weight(cell) {
    if (!answer.counted.isCompared) return cell.value;
    return question.measure === "share" ? cell.value - cell.old : cell.came - cell.went;
  }

  function drawLegend() {
    const { isCompared, hasHost } = answer.counted;
    const legend = byId("legend");
    if (hasHost && !isCompared) {
      const statuses = { native: ["native"], usable: ["usable"], missing: reuse.STATUSES.slice(2) };
      const only = (state) => new Map([...question.filters, ["reuse", statuses[state]]]);
      legend.replaceChildren(
        ...Object.entries(report.names.states).map(([state, words]) =>
          element(
            "button",
            {
              type: "button",
              className: state,
              title: words,
              ariaLabel: `${state}: ${words}. Show only these specs`,
              onclick: () => ask({ filters: only(state) }),
            },
            state,
          ),
        ),
        "The numbers say how much of what is cached can be reused.",
      );
      return;
    }
    const largest = largestOf(allCells());
    if (isCompared) {
      legend.replaceChildren(
        "less",
        element("span", { className: "ramp two" }),
        `more, up to ${amount(largest)} (linear)`,
        ...(question.measure === "share" ? [] : [element("span", { className: "note" }, COMPARED)]),
      );
    } else
      legend.replaceChildren(
        "0",
        element("span", { className: "ramp" }),
        `${question.measure === "share" ? percent(largest) : thing(largest)} (linear)`,
      );
  }

  const allCells = () =>
    answer.rows.flatMap((_, row) => answer.columns.map((_column, column) => answer.cell(row, column)));
  const largestOf = (cells) => cells.reduce((largest, cell) => Math.max(largest, Math.abs(weight(cell))), 0);
  const signed = (number, words) => `${number > 0 ? "+" : number < 0 ? "−" : "±"}${words}`;

  // What stands in a cell.
  function text(cell) {
    if (cell.isEmpty) return "";
    const { isCompared, hasHost } = answer.counted;
    if (isCompared && question.measure === "share")
      return `${percent(cell.value)} (${signed(cell.value - cell.old, percent(Math.abs(cell.value - cell.old)))})`;
    if (isCompared) {
      const parts = [cell.came ? `+${amount(cell.came)}` : "", cell.went ? `−${amount(cell.went)}` : ""].filter(
        Boolean,
      );
      return parts.join(" ") || "=";
    }
    const isOne = question.measure === "packages" && [question.rows, question.columns].includes("package");
    if (hasHost && isOne) return cell.state;
    if (hasHost && question.measure !== "share") return `${amount(cell.value)} / ${amount(cell.all)}`;
    return amount(cell.value);
  }

  // What a cell says in words.
  function words(cell, names) {
    const { isCompared, hasHost } = answer.counted;
    const name = names.map(shown).join(", ");
    if (cell.isEmpty) return `${name}: none`;
    const whole = { row: "the row", column: "the column", all: "all" }[question.denominator];
    const value = question.measure === "share" ? percent(cell.value) : thing(cell.value);
    const parts = [
      question.measure === "share"
        ? `${value} of the packages of ${whole}`
        : `${value}, ${percent(cell.proportion)} of ${whole}`,
    ];
    if (hasHost)
      parts.push(
        `${cell.state}${question.measure === "share" ? "" : `: ${amount(cell.value)} of ${amount(cell.all)} can be reused`}`,
      );
    if (isCompared)
      parts.push(
        `${amount(cell.old)} before${question.measure === "share" ? "" : `; ${amount(cell.came)} came, ${amount(cell.went)} went`}`,
      );
    return `${name}: ${parts.join("; ")}`;
  }

  function headerButton(axis, label, key) {
    const name = question[axis];
    const isChosen = (question.filters.get(name) ?? []).includes(label);
    const made = element(
      "button",
      {
        type: "button",
        title: shown(label),
        ariaPressed: String(isChosen),
        onclick: () => ask({ filters: toggled(name, label) }),
      },
      shown(label),
    );
    made.dataset.key = key;
    return made;
  }

  function cellButton(cell, row, column, key) {
    const labels = [answer.rows[row].label, answer.columns[column].label];
    const said = words(cell, labels);
    const made = element(
      "button",
      { type: "button", title: said, ariaLabel: said, onclick: () => ask({ cell: labels }) },
      text(cell),
    );
    made.dataset.key = key;
    return made;
  }

  function drawHeat() {
    const { rows, columns } = answer;
    const largest = largestOf(allCells());
    const largestRow = Math.max(...rows.map((row) => row.value), 0);
    const table = byId("table");
    table.className = columns.length > MANY_COLUMNS ? "heat many" : "heat";
    const head = element(
      "tr",
      {},
      element(
        "th",
        { scope: "col" },
        element("span", { className: "soft" }, `${titleOf(question.rows)} / ${titleOf(question.columns)}`),
      ),
    );
    columns.forEach(({ label }, column) =>
      head.append(element("th", { scope: "col" }, headerButton("columns", label, `column:${column}`))),
    );
    head.append(element("th", { scope: "col", className: "n" }, "all"));
    const body = rows.map(({ label }, row) => {
      const line = element("tr", {}, element("th", { scope: "row" }, headerButton("rows", label, `row:${row}`)));
      columns.forEach((_, column) => {
        const cell = answer.cell(row, column);
        const button = share(cellButton(cell, row, column, `cell:${row}:${column}`), strength(cell, largest));
        if (answer.counted.hasHost && !answer.counted.isCompared && cell.state) button.classList.add(cell.state);
        else if (answer.counted.isCompared && weight(cell) < 0) button.classList.add("less");
        line.append(element("td", {}, cell.isEmpty ? element("span", { className: "hidden" }, "none") : button));
      });
      line.append(
        share(
          element("td", { className: "n total" }, text(rows[row])),
          largestRow && !answer.counted.isCompared ? rows[row].value / largestRow : 0,
        ),
      );
      return line;
    });
    const foot = element("tr", {}, element("th", { scope: "row" }, "all"));
    columns.forEach((column) => foot.append(element("td", { className: "n" }, text(column))));
    foot.append(element("td", { className: "n" }, text(answer.all)));
    table.replaceChildren(
      caption(),
      element("thead", {}, head),
      element("tbody", {}, ...body),
      element("tfoot", {}, foot),
    );
    rove(table);
    drawMore([rows.length, answer.numRows, "row"], [columns.length, answer.numColumns, "column"]);
  }

  function caption() {
    return element("caption", { className: "hidden" }, heading());
  }

  // The cells as a list, the largest first.
  function drawBars() {
    const { rows, columns } = answer;
    const cells = rows.flatMap((_, row) =>
      columns.map((_column, column) => ({ row, column, cell: answer.cell(row, column) })),
    );
    const found = cells
      .filter(({ cell }) => !cell.isEmpty)
      .sort((one, other) => Math.abs(weight(other.cell)) - Math.abs(weight(one.cell)));
    const largest = largestOf(found.map((one) => one.cell));
    const head = element(
      "tr",
      {},
      ...[
        titleOf(question.rows),
        titleOf(question.columns),
        MEASURES[question.measure],
        `of ${{ row: "the row", column: "the column", all: "all" }[question.denominator]}`,
      ].map((title) => element("th", { scope: "col" }, title)),
    );
    const body = found.slice(0, MOST_BARS).map(({ row, column, cell }) => {
      const bar = share(cellButton(cell, row, column, `cell:${row}:${column}`), strength(cell, largest));
      return element(
        "tr",
        {},
        element("th", { scope: "row" }, headerButton("rows", rows[row].label, `row:${row}:${column}`)),
        element("td", {}, headerButton("columns", columns[column].label, `column:${row}:${column}`)),
        element("td", { className: "bar" }, bar),
        element("td", { className: "n" }, percent(cell.proportion)),
      );
    });
    const table = byId("table");
    table.className = "list";
    table.replaceChildren(caption(), element("thead", {}, head), element("tbody", {}, ...body));
    rove(table);
    drawMore([Math.min(found.length, MOST_BARS), found.length, "bar"]);
  }

  // Say what is left out of a table, given as a number, that of all, and a noun.
  function drawMore(...parts) {
    const cut = parts.filter(([number, all]) => number < all);
    const said = cut.map(([number, all, noun]) => `the first ${count(number)} of ${counted(all, noun)}`).join(" and ");
    const more = element(
      "button",
      {
        type: "button",
        onclick: () => {
          timesMore *= 4;
          follow();
        },
      },
      "Show more",
    );
    byId("more").replaceChildren(
      ...(said ? [`These are ${said}. `] : []),
      ...(said && question.view !== "bars" ? [more] : []),
    );
  }

  // One button of the table is reached with the tab key, the others from it with the arrows.
  function rove(table) {
    const buttons = [...table.querySelectorAll("button")];
    buttons.forEach((button, place) => {
      button.tabIndex = place ? -1 : 0;
    });
  }

  function moveFocus(event) {
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    const cell = event.target.closest("td, th");
    if (!Object.hasOwn(steps, event.key) || !cell) return;
    event.preventDefault();
    const [down, right] = steps[event.key];
    const lines = [...byId("table").rows];
    let [line, place] = [lines.indexOf(cell.parentElement), cell.cellIndex];
    do {
      line += down;
      place += right;
      const next = lines[line]?.cells[place]?.querySelector("button");
      if (next) {
        event.target.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
        return;
      }
    } while (lines[line]?.cells[place]);
  }

  function read(event) {
    const said = event.target.closest?.("#table td button")?.title;
    if (said) byId("readout").textContent = said;
  }

  // The specs of a cell.

  async function drawCell(mine) {
    const [row, column] = question.cell;
    const found = await answers.specsIn(question, report, row, column, { pause: () => pause(mine) });
    if (mine !== turn) return;
    byId("cell").hidden = false;
    byId("cell-heading").textContent = `${counted(found.length, "spec")} of ${shown(row)}, ${shown(column)}`;
    const titles = ["Hash", "Package", "Version", "OS", "Target", "Compiler", "Stacks", "Variants"];
    if (question.before) titles.push("Snapshot");
    if (question.host) titles.push("Reuse");
    const body = element("tbody");
    byId("cell-specs").replaceChildren(
      element("caption", { className: "hidden" }, byId("cell-heading").textContent),
      element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)))),
      body,
    );
    let drawn = 0;
    const more = async () => {
      const some = found.slice(drawn, drawn + MOST_SPECS);
      const lines = await Promise.all(some.map(specLine));
      if (mine !== turn) return;
      body.append(...lines);
      drawn += some.length;
      byId("cell-more").replaceChildren(
        ...(drawn < found.length
          ? [`The first ${count(drawn)}. `, element("button", { type: "button", onclick: more }, "Show more")]
          : []),
      );
    };
    await more();
    if (mine === turn) byId("cell-heading").focus();
  }

  async function specLine([, snapshot, row]) {
    const { names, sets, links } = report.names;
    const { columns } = snapshot;
    const name = names.package[columns.package[row]];
    const [page, script] = Object.hasOwn(links, name) ? links[name] : [`packages/${name}.html`, `specs/${name}.js`];
    const { hashes, values, codes } = await specsOf(script);
    const id = columns.id[row];
    const variants = values[5][Array.isArray(codes[5]) ? codes[5][id] : codes[5]];
    const cell = (content, className = "") => element("td", { className }, content ?? "–");
    const line = element("tr", {}, cell(copyButton(hashes[id])), cell(element("a", { href: page }, name)));
    for (const column of ["version", "os", "target", "compiler"])
      line.append(cell(names[column][columns[column][row]]));
    line.append(cell(sets[columns.stacks[row]].join(", ") || "–", "stacks"), cell(variants, "variants"));
    if (question.before) line.append(cell(snapshot.name));
    if (question.host) line.append(cell(reuse.STATUSES[columns.reuse[row]]));
    return line;
  }

  function specsOf(script) {
    if (!specScripts.has(script)) specScripts.set(script, cachestats.json(script));
    return specScripts.get(script);
  }

  function copyButton(hash) {
    const command = `spack install /${hash}`;
    const button = element(
      "button",
      { type: "button", className: "copy", title: `Copy: ${command}`, ariaLabel: `Copy ${command}` },
      `/${hash.slice(0, 7)}`,
    );
    button.dataset.copy = command;
    return button;
  }

  // The page.

  async function start() {
    report = await answers.Report.open();
    offerHosts();
    form.hidden = false;
    byId("facets").open = matchMedia("(min-width: 60rem)").matches;
    form.addEventListener("change", formChanged);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      searches.clear();
      ask(answers.asked("", report));
    });
    for (const button of document.querySelectorAll("[data-view]"))
      button.addEventListener("click", () => ask({ view: button.dataset.view }));
    byId("ask-order").addEventListener("change", (event) => ask({ order: event.target.value }));
    byId("table").addEventListener("keydown", moveFocus);
    byId("table").addEventListener("pointerover", read);
    byId("table").addEventListener("focusin", read);
    window.addEventListener("hashchange", follow);
    await follow();
  }

  window.addEventListener("DOMContentLoaded", start);
  return times;
})();
