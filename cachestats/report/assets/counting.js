// Counts of specs by dimensions, with filters: pure functions of typed arrays, which draw nothing.
//
// A snapshot has a row for each spec, sorted by package and `id`, and columns of codes. A dimension says which labels
// belong to each code of its column: one for most, several for sets of stacks, none for what has no place in it.
"use strict";

cachestats.counting = (() => {
  const ROOT = "root"; // the union of all stacks, which is no stack

  // Return a snapshot as it is counted: its columns, and where the rows of each package start.
  function prepared({ columns }, place, facts, numPackages) {
    const rows = columns.package.length;
    const id = new Uint32Array(rows);
    const starts = new Uint32Array(numPackages + 1);
    for (let row = 0; row < rows; row += 1) {
      const isSame = row > 0 && columns.package[row] === columns.package[row - 1];
      id[row] = columns.step[row] + (isSame ? id[row - 1] : 0);
      starts[columns.package[row] + 1] = row + 1;
    }
    for (let code = 1; code < starts.length; code += 1) starts[code] ||= starts[code - 1];
    return { ...facts, place, rows, starts, columns: { ...columns, id, snapshot: new Uint16Array(rows).fill(place) } };
  }

  // Return a dimension; `labelsOf` gives the places of the labels of each code of the column.
  function dimension(name, column, labels, labelsOf) {
    const starts = new Uint32Array(labelsOf.length + 1);
    labelsOf.forEach((places, code) => {
      starts[code + 1] = starts[code] + places.length;
    });
    return { name, column, labels, starts, members: Uint32Array.from(labelsOf.flat()) };
  }

  // Return the dimension of a column whose codes are the labels. Its null is a label too, the last: no compiler, ...
  function plain(name, column, names) {
    return grouped(name, column, names, (label) => label);
  }

  // Return a dimension in which the names of several codes may be one label.
  function grouped(name, column, names, labelOf) {
    const labels = [...new Set(names.map((one) => (one === null ? null : labelOf(one))))];
    labels.sort((one, other) => (one === null) - (other === null)); // stable: only null moves
    const places = new Map(labels.map((label, place) => [label, place]));
    return dimension(
      name,
      column,
      labels,
      names.map((one) => [places.get(one === null ? null : labelOf(one))]),
    );
  }

  // Return the dimension of stacks. A spec that no stack lists has the label null; one that only root has, none.
  function stackDimension(sets) {
    const labels = [...new Set(sets.flat())]
      .filter((label) => label !== ROOT)
      .sort((one, other) => new Intl.Collator("en", { numeric: true }).compare(one, other));
    labels.push(null);
    const places = new Map(labels.map((label, place) => [label, place]));
    const labelsOf = sets.map((set) => (set.length ? set.filter((label) => label !== ROOT) : [null]));
    return dimension(
      "stack",
      "stacks",
      labels,
      labelsOf.map((set) => set.map((label) => places.get(label))),
    );
  }

  // Return the dimension of the values of a variant: `+mpi`, `~mpi`, `api=v18`; null for specs without it.
  function variantDimension(name, variants) {
    const valueOf = variants.names.map((text) => (cachestats.expressions.splitVariant(text)[0] === name ? text : null));
    const values = [];
    let place = 0;
    for (const length of variants.columns.lengths) {
      let value = null;
      for (const end = place + length; place < end; place += 1)
        value = valueOf[variants.columns.members[place]] ?? value;
      values.push(value);
    }
    const labels = [...new Set(values)].sort(
      (one, other) => (one === null) - (other === null) || (one < other ? -1 : 1),
    );
    const places = new Map(labels.map((label, number) => [label, number]));
    return dimension(
      `variant:${name}`,
      "variants",
      labels,
      values.map((value) => [places.get(value)]),
    );
  }

  // Return a dimension with some of its labels, in the given order.
  function narrowed(dimension, places) {
    const position = new Map(places.map((place, number) => [place, number]));
    const { labels, starts, members } = dimension;
    const kept = [];
    const narrow = new Uint32Array(starts.length);
    for (let code = 0; code + 1 < starts.length; code += 1) {
      for (let at = starts[code]; at < starts[code + 1]; at += 1) {
        if (position.has(members[at])) kept.push(position.get(members[at]));
      }
      narrow[code + 1] = kept.length;
    }
    return {
      ...dimension,
      labels: places.map((place) => labels[place]),
      starts: narrow,
      members: Uint32Array.from(kept),
    };
  }

  // Return which codes of a dimension's column have one of some labels.
  function allowed({ starts, members }, places) {
    const found = new Uint8Array(starts.length - 1);
    for (let code = 0; code < found.length; code += 1) {
      for (let at = starts[code]; at < starts[code + 1]; at += 1) if (places.has(members[at])) found[code] = 1;
    }
    return found;
  }

  // Sums in which each thing counts once for each place, whatever the number of its rows. A thing is a package or a
  // spec; its rows must follow one another, and share a stamp that no other thing has.
  class Tally {
    constructor(size) {
      this.values = new Float64Array(size);
      this.stamps = new Uint32Array(size);
    }

    // Return whether the thing did not count there yet.
    add(place, stamp, weight) {
      if (this.stamps[place] === stamp) return false;
      this.stamps[place] = stamp;
      this.values[place] += weight;
      return true;
    }
  }

  const SLICE = 40; // milliseconds of counting at a stretch

  // Call `visit(row, snapshot, stamp, failed)` for each spec that passes all filters, or all but the filter `failed`.
  //
  // `sides` are lists of snapshots, whose specs are visited together: package by package, or, with `by` "spec", spec by
  // spec if there are two sides to compare. Filters are pairs of a column and of which of its codes pass. Now and then,
  // between two packages, `pause` lets the page do something else.
  async function visitSpecs({ sides, filters, by, pause }, visit) {
    const isPaired = by === "spec" && sides.length > 1;
    const numPackages = sides[0][0].starts.length - 1;
    let stamp = 0;
    const pass = (snapshot, row, side) => {
      let failed = -1;
      if (snapshot.matches && !snapshot.matches[row]) return;
      for (let number = 0; number < filters.length; number += 1) {
        if (filters[number].allowed[snapshot.columns[filters[number].column][row]]) continue;
        if (failed >= 0) return;
        failed = number;
      }
      visit(row, snapshot, stamp, failed, side);
    };
    let until = performance.now() + SLICE;
    for (let code = 0; code < numPackages; code += 1) {
      if (performance.now() > until) {
        await pause();
        until = performance.now() + SLICE;
      }
      stamp += 1;
      if (isPaired) {
        const [[old], [recent]] = sides;
        let [row, other] = [old.starts[code], recent.starts[code]];
        const [end, otherEnd] = [old.starts[code + 1], recent.starts[code + 1]];
        while (row < end || other < otherEnd) {
          const [id, otherId] = [
            row < end ? old.columns.id[row] : Infinity,
            other < otherEnd ? recent.columns.id[other] : Infinity,
          ];
          stamp += 1;
          if (id <= otherId) pass(old, row++, 0);
          if (otherId <= id) pass(recent, other++, 1);
        }
        continue;
      }
      for (let side = 0; side < sides.length; side += 1) {
        for (const snapshot of sides[side]) {
          const end = snapshot.starts[code + 1];
          for (let row = snapshot.starts[code]; row < end; row += 1) {
            if (by === "spec") stamp += 1;
            pass(snapshot, row, side);
          }
        }
      }
    }
  }

  const { NATIVE, USABLE } = cachestats.reuse;

  // Counts at the places of a table of one or two dimensions, of each side. With a host, `reused` are those that it can
  // reuse, and `states` tells whether the last side has native (1), usable (2) and other specs (4). With two sides,
  // `came` and `went` are the things that only one of them has; a spec may have another size on the other.
  class Counts {
    constructor(size, numSides, hasHost) {
      this.sides = Array.from({ length: numSides }, () => new Tally(size));
      const isCompared = numSides > 1;
      [this.came, this.went, this.weights] = Array.from({ length: 3 }, () => new Float64Array(isCompared ? size : 0));
      this.reused = hasHost ? Array.from({ length: numSides }, () => new Tally(size)) : [];
      this.states = new Uint8Array(hasHost ? size : 0);
    }

    add(place, side, stamp, weight, status) {
      let tallies = this.sides;
      if (this.states.length) {
        if (side === this.sides.length - 1) this.states[place] |= status === NATIVE ? 1 : status === USABLE ? 2 : 4;
        this.sides[side].add(place, stamp, weight);
        if (status > USABLE) return;
        tallies = this.reused;
      }
      if (!tallies[side].add(place, stamp, weight) || !this.came.length) return;
      if (side === 0) {
        this.went[place] += weight;
        this.weights[place] = weight;
      } else if (tallies[0].stamps[place] === stamp) this.went[place] -= this.weights[place];
      else this.came[place] += weight;
    }
  }

  // Count along the two dimensions of a table on their own, over all, and for each of the `facets` by its dimension:
  // there, a dimension's own filter does not count, so that one sees what else could be chosen.
  async function margins(question) {
    const { sides, rows, columns, facets, filters, by, weigh, hasHost, pause } = question;
    const make = (size) => new Counts(size, sides.length, hasHost);
    const found = { rows: make(rows.labels.length), columns: make(columns.labels.length), all: make(1) };
    const tallies = facets.map((facet) => new Tally(facet.labels.length));
    const facetOf = filters.map((filter) => facets.findIndex((facet) => facet.name === filter.name));
    const addTo = (number, code, stamp, weight) => {
      const { starts, members } = facets[number];
      for (let at = starts[code]; at < starts[code + 1]; at += 1) tallies[number].add(members[at], stamp, weight);
    };
    const last = sides.length - 1;
    await visitSpecs({ sides, filters, by, pause }, (row, snapshot, stamp, failed, side) => {
      const weight = weigh(snapshot, row);
      if (side === last) {
        if (failed >= 0) {
          const number = facetOf[failed];
          if (number >= 0) addTo(number, snapshot.columns[facets[number].column][row], stamp, weight);
        } else {
          for (let number = 0; number < facets.length; number += 1) {
            addTo(number, snapshot.columns[facets[number].column][row], stamp, weight);
          }
        }
      }
      if (failed >= 0) return;
      const status = hasHost ? snapshot.columns.reuse[row] : 0;
      found.all.add(0, side, stamp, weight, status);
      addAlong(found.rows, rows, snapshot.columns[rows.column][row], side, stamp, weight, status);
      addAlong(found.columns, columns, snapshot.columns[columns.column][row], side, stamp, weight, status);
    });
    return { ...found, facets: tallies.map((tally) => tally.values) };
  }

  function addAlong(counts, { starts, members }, code, side, stamp, weight, status) {
    for (let at = starts[code]; at < starts[code + 1]; at += 1) counts.add(members[at], side, stamp, weight, status);
  }

  // Count the cells of a table: those of the first row come first.
  async function cells({ sides, rows, columns, filters, by, weigh, hasHost, pause }) {
    const width = columns.labels.length;
    const found = new Counts(rows.labels.length * width, sides.length, hasHost);
    await visitSpecs({ sides, filters, by, pause }, (row, snapshot, stamp, failed, side) => {
      if (failed >= 0) return;
      const status = hasHost ? snapshot.columns.reuse[row] : 0;
      const [code, other] = [snapshot.columns[rows.column][row], snapshot.columns[columns.column][row]];
      for (let at = rows.starts[code]; at < rows.starts[code + 1]; at += 1) {
        for (let to = columns.starts[other]; to < columns.starts[other + 1]; to += 1) {
          found.add(rows.members[at] * width + columns.members[to], side, stamp, weigh(snapshot, row), status);
        }
      }
    });
    return found;
  }

  // Return the specs in one cell, each as [side, snapshot, row].
  async function specsIn({ sides, rows, columns, filters, by, pause }) {
    const found = [];
    const isIn = ({ column, starts }, snapshot, row) => {
      const code = snapshot.columns[column][row];
      return starts[code] < starts[code + 1];
    };
    await visitSpecs({ sides, filters, by, pause }, (row, snapshot, _stamp, failed, side) => {
      if (failed < 0 && isIn(rows, snapshot, row) && isIn(columns, snapshot, row)) found.push([side, snapshot, row]);
    });
    return found;
  }

  return {
    prepared,
    plain,
    grouped,
    dimension,
    stackDimension,
    variantDimension,
    narrowed,
    allowed,
    margins,
    cells,
    specsIn,
  };
})();
