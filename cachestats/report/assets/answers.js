// Answers to the questions of the explorer: loads what a question needs, and counts. Nothing is drawn here.
//
// A question is what the address says: `rows` and `columns` (dimensions), `measure`, `denominator`, `snapshot`,
// `before` (a snapshot to compare with), `host`, `spec` (an expression), `order`, and filters by dimension.
"use strict";

cachestats.answers = (() => {
  const { STATUSES, USABLE } = cachestats.reuse;
  const MEASURES = ["packages", "specs", "share", "bytes"];
  const DENOMINATORS = ["row", "column", "all"];
  const SETTINGS = ["rows", "columns", "measure", "denominator", "snapshot", "before", "host", "spec", "order", "view"];
  const VARIANT = "variant:";
  const LONG = ["package", "version"]; // dimensions with so many labels that the largest come first

  class QuestionError extends Error {}

  // The data of a report, loaded when it is needed.
  class Report {
    static async open() {
      const report = new Report();
      report.names = await cachestats.json("names.js");
      const { names, sets } = report.names;
      const { plain, grouped, stackDimension } = cachestats.counting;
      const snapshots = report.names.snapshots.map((one) => one.name);
      const all = [
        stackDimension(sets),
        ...["target", "os", "compiler"].map((name) => plain(name, name, names[name])),
        grouped("compiler_name", "compiler", names.compiler, (label) => label.split("@")[0]),
        ...["libc", "platform", "package", "version"].map((name) => plain(name, name, names[name])),
        plain("snapshot", "snapshot", snapshots),
        plain("reuse", "reuse", STATUSES),
      ];
      report.dimensions = new Map(all.map((one) => [one.name, one]));
      report.snapshots = new Map();
      return report;
    }

    async snapshot(name) {
      if (!this.snapshots.has(name)) {
        const place = this.names.snapshots.findIndex((one) => one.name === name);
        const facts = this.names.snapshots[place];
        const loaded = await cachestats.columns(facts.script);
        this.snapshots.set(name, cachestats.counting.prepared(loaded, place, facts, this.names.names.package.length));
      }
      return this.snapshots.get(name);
    }

    async variants() {
      this.loadedVariants ??= await cachestats.columns("variants.js");
      return this.loadedVariants;
    }

    async dimension(name) {
      if (!this.dimensions.has(name) && name.startsWith(VARIANT)) {
        const found = cachestats.counting.variantDimension(name.slice(VARIANT.length), await this.variants());
        if (found.labels.every((label) => label === null))
          throw new QuestionError(`no spec of this report has the variant ${name.slice(VARIANT.length)}`);
        this.dimensions.set(name, found);
      }
      if (!this.dimensions.has(name)) throw new QuestionError(`there is no dimension ${name}`);
      return this.dimensions.get(name);
    }
  }

  // Return the question that an address asks, with the usual answers in place of what it leaves out.
  function asked(address, report) {
    const parameters = new URLSearchParams(address);
    const question = Object.fromEntries(SETTINGS.map((name) => [name, parameters.get(name) ?? ""]));
    const axes = report.names.axes.filter((name) => name !== question.rows && name !== question.columns);
    question.rows ||= axes.shift();
    question.columns ||= axes.shift();
    question.measure ||= "packages";
    question.denominator ||= "row";
    question.snapshot ||= report.names.current;
    question.view ||= "heat";
    question.filters = new Map();
    const cell = parameters.getAll("cell").map((label) => label || null);
    question.cell = cell.length === 2 ? cell : null;
    for (const [name, value] of parameters) {
      if (name === "cell" || SETTINGS.includes(name)) continue;
      if (!question.filters.has(name)) question.filters.set(name, []);
      question.filters.get(name).push(value === "" ? null : value);
    }
    return question;
  }

  // Return the address of a question.
  function addressOf(question) {
    const parameters = new URLSearchParams();
    for (const name of SETTINGS) if (question[name]) parameters.set(name, question[name]);
    if (question.measure !== "share") parameters.delete("denominator");
    if (question.view === "heat") parameters.delete("view");
    for (const [name, values] of question.filters) for (const value of values) parameters.append(name, value ?? "");
    for (const label of question.cell ?? []) parameters.append("cell", label ?? "");
    return parameters.toString();
  }

  // Check a question, load what it needs, and return it in the form in which it is counted.
  //
  // `pause` lets the page do something else, and ends a question by an error if another one was asked meanwhile: it
  // comes before specs are judged and matched, so that what is counted was judged and matched for the same question.
  async function countable(question, report, { progress = () => {}, pause = async () => {} } = {}) {
    const known = new Set(report.names.snapshots.map((one) => one.name));
    for (const name of [question.snapshot, question.before])
      if (name && !known.has(name)) throw new QuestionError(`there is no snapshot ${name}`);
    if (question.rows === question.columns) throw new QuestionError("choose two different dimensions");
    if (!MEASURES.includes(question.measure)) throw new QuestionError(`there is no measure ${question.measure}`);
    if (question.measure === "bytes" && !report.names.has_sizes)
      throw new QuestionError(
        "expected a dataset with sizes for bytes, found none: count specs, or build the dataset with --sizes",
      );
    if (!DENOMINATORS.includes(question.denominator))
      throw new QuestionError(`there is no denominator ${question.denominator}`);
    const isOverTime = [question.rows, question.columns].includes("snapshot");
    const isCompared = Boolean(question.before) && !isOverTime;
    const sides = await loadedSides(question, report, isOverTime, isCompared, progress);
    const snapshots = sides.flat();
    const parsed = question.spec.trim() ? cachestats.expressions.parse(question.spec) : null;
    const variants = parsed && cachestats.expressions.needsVariants(parsed) ? await report.variants() : null;
    const filters = [];
    for (const [name, labels] of question.filters) filters.push(await filterOf(name, labels, report));
    const [rows, columns] = [await axis(question.rows, filters, report), await axis(question.columns, filters, report)];
    await pause();
    const hasHost = judge(question, report, snapshots);
    for (const name of [question.rows, question.columns, ...question.filters.keys()]) {
      if (name === "reuse" && !hasHost)
        throw new QuestionError("choose a host: without one, nothing is known about reuse");
    }
    match(question, parsed, variants, report, snapshots);
    const size = (snapshot, row) => Math.max(0, snapshot.columns.size[row] - 1); // 0 is not known
    return {
      sides,
      rows,
      columns,
      filters,
      hasHost,
      isCompared,
      by: ["packages", "share"].includes(question.measure) ? "package" : "spec",
      weigh: question.measure === "bytes" ? size : () => 1,
      facets: facetsOf(report, question, hasHost),
      pause,
    };
  }

  async function loadedSides(question, report, isOverTime, isCompared, progress) {
    if (!isOverTime) {
      const recent = [await report.snapshot(question.snapshot)];
      return isCompared ? [[await report.snapshot(question.before)], recent] : [recent];
    }
    const found = [];
    for (const { name } of report.names.snapshots) {
      progress(`reading ${name}`);
      found.push(await report.snapshot(name));
    }
    return [found];
  }

  // Judge all specs for the host, if there is one.
  function judge(question, report, snapshots) {
    if (!question.host) return false;
    const { hosts, requirements, names } = report.names;
    const host = cachestats.reuse.host(question.host, hosts);
    if (!host) throw new QuestionError(`expected a host such as zen4:rhel9 or zen4:glibc@2.34, found ${question.host}`);
    if (host.os === null && snapshots.some((one) => one.rows && usesOldRules(one, requirements))) {
      throw new QuestionError(
        "choose an operating system: the Spack that wrote this snapshot compares it, not the libc",
      );
    }
    const verdicts = cachestats.reuse.verdicts(requirements, host, hosts);
    const target = names.target.indexOf(host.target);
    for (const snapshot of snapshots) {
      if (snapshot.judgedFor === host.text) continue;
      snapshot.columns.reuse = cachestats.reuse.statuses(snapshot.columns, verdicts, target);
      snapshot.judgedFor = host.text;
    }
    return true;
  }

  const usesOldRules = ({ columns }, requirements) => {
    const isOld = requirements.map((one) => one.rules === "0.21");
    return columns.requirement.some((code) => isOld[code]);
  };

  // Mark the specs that satisfy the expression, if there is one.
  function match(question, parsed, variants, report, snapshots) {
    for (const snapshot of snapshots) {
      if (snapshot.matchedBy === question.spec) continue;
      snapshot.matches = parsed && cachestats.expressions.satisfying(parsed, snapshot, report.names, variants);
      snapshot.matchedBy = question.spec;
    }
  }

  async function filterOf(name, labels, report) {
    const dimension = await report.dimension(name);
    const places = new Set(labels.map((label) => dimension.labels.indexOf(label)));
    if (places.has(-1))
      throw new QuestionError(
        `there is no ${name} ${labels.find((label) => !dimension.labels.includes(label))} in this report`,
      );
    return { name, column: dimension.column, places, allowed: cachestats.counting.allowed(dimension, places) };
  }

  // Return the dimension of an axis; what is filtered by it has only the labels that are left.
  async function axis(name, filters, report) {
    const dimension = await report.dimension(name);
    const own = filters.find((filter) => filter.name === name);
    return own
      ? cachestats.counting.narrowed(
          dimension,
          [...own.places].sort((one, other) => one - other),
        )
      : dimension;
  }

  function facetsOf(report, question, hasHost) {
    const used = new Set([question.rows, question.columns, ...question.filters.keys()]);
    const isShown = ({ name }) => (name === "reuse" ? hasHost : !isSeldom(name) || used.has(name));
    return [...report.dimensions.values()].filter(isShown);
  }

  const isSeldom = (name) => name === "snapshot" || name === "compiler_name" || name.startsWith(VARIANT);

  // Return the answer to a question, with at most some rows and columns, the largest or the first.
  async function answer(question, report, { mostRows = Infinity, mostColumns = Infinity, ...meanwhile } = {}) {
    const counted = await countable(question, report, meanwhile);
    const margins = await cachestats.counting.margins(counted);
    const byNumber = question.order ? question.order === "number" : isLong(question.rows);
    const rows = shown(counted.rows, margins.rows, byNumber, mostRows);
    const columns = shown(counted.columns, margins.columns, isLong(question.columns), mostColumns);
    const cells = await cachestats.counting.cells({
      ...counted,
      rows: cachestats.counting.narrowed(counted.rows, rows),
      columns: cachestats.counting.narrowed(counted.columns, columns),
    });
    const whole = (row, column) => {
      if (question.denominator === "row" && row !== undefined) return [margins.rows, rows[row]];
      if (question.denominator === "column" && column !== undefined) return [margins.columns, columns[column]];
      return [margins.all, 0];
    };
    const numbers = (counts, place, row, column) => numbersAt(counts, place, question, whole(row, column), counted);
    return {
      counted,
      facets: counted.facets.map((facet, number) => ({ ...facet, values: margins.facets[number] })),
      rows: rows.map((place, row) => ({ label: counted.rows.labels[place], ...numbers(margins.rows, place, row) })),
      columns: columns.map((place, column) => ({
        label: counted.columns.labels[place],
        ...numbers(margins.columns, place, undefined, column),
      })),
      all: numbersAt(margins.all, 0, question, [margins.all, 0], counted),
      numRows: numPresent(margins.rows),
      numColumns: numPresent(margins.columns),
      cell: (row, column) => numbers(cells, row * columns.length + column, row, column),
    };
  }

  const isLong = (name) => LONG.includes(name);
  const isPresent = (counts, place) => counts.sides.some((side) => side.stamps[place] > 0);
  const numPresent = (counts) =>
    counts.sides[0].values.reduce((number, _, place) => number + isPresent(counts, place), 0);

  // Return the places of the labels that a table shows, in their order (the newest snapshot first) or the largest first.
  function shown({ name, labels }, counts, byNumber, most) {
    const found = labels.map((_, place) => place).filter((place) => isPresent(counts, place));
    if (name === "snapshot") found.reverse();
    const size = (place) => Math.max(...counts.sides.map((side) => side.values[place]));
    if (byNumber) found.sort((one, other) => size(other) - size(one) || one - other);
    return found.slice(0, most);
  }

  // Return the numbers of a cell: `value` and, of a share, what it is a share `of`; `all` with what the host cannot
  // reuse; `state` of what it can; and compared with an older snapshot its value then, and what came and went.
  function numbersAt(counts, place, question, [wholes, wholePlace], { hasHost, isCompared }) {
    const tallies = hasHost ? counts.reused : counts.sides;
    const last = counts.sides.length - 1;
    const isShare = question.measure === "share";
    const value = tallies[last].values[place];
    const part = (side) => {
      const of = wholes.sides[side].values[wholePlace];
      return of ? tallies[side].values[place] / of : 0;
    };
    const found = {
      value: isShare ? part(last) : value,
      number: value,
      all: counts.sides[last].values[place],
      isEmpty: !isPresent(counts, place),
    };
    found.proportion = part(last);
    if (hasHost) found.state = stateOf(counts.states[place]);
    if (isCompared) {
      found.old = isShare ? part(0) : tallies[0].values[place];
      found.came = counts.came[place];
      found.went = counts.went[place];
    }
    return found;
  }

  const stateOf = (bits) => (bits & 1 ? "native" : bits & 2 ? "usable" : bits ? "missing" : null);

  // Return the specs in a cell, given by its labels, as [side, snapshot, row]; those a host can reuse come first.
  async function specsIn(question, report, row, column, meanwhile) {
    const counted = await countable(question, report, meanwhile);
    const only = (dimension, label) => cachestats.counting.narrowed(dimension, [dimension.labels.indexOf(label)]);
    const found = await cachestats.counting.specsIn({
      ...counted,
      rows: only(counted.rows, row),
      columns: only(counted.columns, column),
    });
    const isReused = ([, snapshot, place]) => counted.hasHost && snapshot.columns.reuse[place] <= USABLE;
    return [...found.filter(isReused), ...found.filter((one) => !isReused(one))];
  }

  return { MEASURES, DENOMINATORS, VARIANT, QuestionError, Report, asked, addressOf, answer, specsIn };
})();
