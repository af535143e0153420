// Spec expressions in Spack's syntax: what `cachestats/expressions` and `cachestats/dataset/satisfying.py` say, in
// JavaScript, but for what only dependencies, hashes or several snapshots can tell. That is refused, with a hint.
"use strict";

cachestats.expressions = (() => {
  const ANY = "*";
  const FLAGS = ["cflags", "cppflags", "cxxflags", "fflags", "ldflags", "ldlibs"];
  const ARCHITECTURE = {
    arch: "arch",
    architecture: "arch",
    platform: "platform",
    os: "os",
    operating_system: "os",
    target: "target",
  };
  const NOT_PROPAGATED = [...Object.keys(ARCHITECTURE), "branch", "commit", "dev_path", "namespace", "patches", "tag"];
  const WITH_VALUE = [...Object.keys(ARCHITECTURE), ...FLAGS, "namespace"];
  const WORD = "[A-Za-z0-9_][A-Za-z0-9_-]*";
  const DOTTED = `${WORD}(?:\\.${WORD})+`;
  const KEY = "[A-Za-z0-9_][A-Za-z0-9_.-]*";
  const SINGLE = "=?[A-Za-z0-9_][A-Za-z0-9_.-]*\\b";
  const RANGE = `(?:${SINGLE})?:(?:${SINGLE}(?!\\s*=))?`;
  const GIT = "(?:git\\.[A-Za-z0-9_][A-Za-z0-9_./-]*|[A-Fa-f0-9]{40})";
  const VALUE = "[A-Za-z0-9_+*.,:=%^~/\\\\-]+|'(?:[^']|(?<=\\\\)')*'|\"(?:[^\"]|(?<=\\\\)\")*\"";
  // The first kind that fits is taken, so that their order matters: a key is no name, and `ns.name` is one name.
  const TOKEN = new RegExp(
    [
      "(?<edge>(?:\\^|%%|%)\\[)",
      `(?<virtual>(?:\\^|%%|%)\\s*${WORD}(?:,${WORD})*=(?:${DOTTED}|${WORD}))`,
      "(?<sigil>\\^|%%|%)",
      `(?<version>@(?:${GIT}(?:=${SINGLE})?|\\s*(?:${RANGE}|${SINGLE})(?:\\s*,\\s*(?:${RANGE}|${SINGLE}))*))`,
      `(?<sign>\\+\\+|~~|--|[+~-])\\s*(?<name_of_switch>${KEY})`,
      `(?<key>${KEY})(?<equals>:?==?)(?<value>${VALUE})`,
      "(?<file>(?:\\.|/|[A-Za-z0-9_-]*/)[A-Za-z0-9_./-]*(?<=\\.json|\\.yaml))",
      `(?<full_name>${DOTTED})`,
      `(?<name>${WORD}|\\*)`,
      "(?<hash>/[A-Za-z0-9_]+)",
      "(?<space>\\s+)",
    ].join("|"),
    "y",
  );
  const NEEDS_SHELL = "cachestats find, in a shell, can ask for it";

  class ExpressionError extends Error {
    constructor(message, position = null) {
      super(message);
      this.position = position;
    }
  }

  // Return what a text asks for, as `find` reads one argument: several expressions are alternatives, and `not` before
  // them leaves out what satisfies them.
  function parse(text) {
    const isExcluded = text.trimStart().startsWith("not ");
    const start = isExcluded ? text.indexOf("not ") + 4 : 0;
    const tokens = tokensOf(text, start);
    const alternatives = [];
    while (tokens.length) {
      const before = tokens.length;
      const star =
        tokens[0].groups.name === ANY && alternatives.length && tokens[0].index && /\S/.test(text[tokens[0].index - 1]);
      if (star) throw new ExpressionError("expected no pattern in a spec, found '*'", tokens[0].index);
      const found = spec(tokens);
      if (tokens.length === before)
        throw new ExpressionError(`expected a spec, found '${tokens[0][0]}'`, tokens[0].index);
      alternatives.push(found);
    }
    if (!alternatives.length) throw new ExpressionError("expected a spec, such as hdf5@1.14:+mpi");
    return { alternatives, isExcluded };
  }

  function tokensOf(text, start) {
    const tokens = [];
    TOKEN.lastIndex = start;
    while (TOKEN.lastIndex < text.length) {
      const position = TOKEN.lastIndex;
      const token = TOKEN.exec(text);
      if (!token)
        throw new ExpressionError(
          text[position] === ","
            ? "expected spaces between alternatives, such as hdf5 petsc, found ','"
            : `expected a spec such as hdf5@1.14:+mpi target=x86_64_v3, found '${text[position]}'`,
          position,
        );
      if (token.groups.space === undefined) tokens.push(token);
    }
    return tokens;
  }

  function spec(tokens) {
    const root = node(tokens);
    root.compilers = [];
    while (tokens.length) {
      const { edge, virtual, sigil } = tokens[0].groups;
      if ((edge ?? virtual ?? sigil) === undefined) break;
      const start = tokens.shift();
      if (sigil === undefined || sigil === "^") {
        throw new ExpressionError(
          `'${start[0]}' asks for dependencies, which this page does not know; ${NEEDS_SHELL}`,
          start.index,
        );
      }
      const before = tokens.length;
      root.compilers.push(node(tokens));
      if (tokens.length === before)
        throw new ExpressionError(`expected a spec after '${sigil}', such as %gcc@12`, start.index);
    }
    return root;
  }

  function node(tokens) {
    const found = { name: null, namespace: null, versions: null, variants: [], flags: [], architecture: {} };
    const first = tokens[0]?.groups;
    if (first?.file !== undefined)
      throw new ExpressionError(`expected a spec, found the file '${first.file}'`, tokens[0].index);
    const name = first?.full_name ?? first?.name;
    if (name !== undefined) {
      const { index } = tokens.shift();
      if (name === "not")
        throw new ExpressionError("expected a spec, found 'not', which stands before all others", index);
      if (name !== ANY) {
        const parts = name.split(".");
        found.name = parts.pop();
        found.namespace = parts.join(".") || null;
      }
    }
    while (tokens.length) {
      const { groups, index } = tokens[0];
      if (groups.hash !== undefined)
        throw new ExpressionError(
          `'${groups.hash}' asks for a hash, which this page does not know; ${NEEDS_SHELL}`,
          index,
        );
      if (groups.version !== undefined) addVersions(found, groups.version, index);
      else if (groups.sign !== undefined) addSwitch(found, groups, index);
      else if (groups.key !== undefined) addPair(found, groups, index);
      else break;
      tokens.shift();
    }
    return found;
  }

  function addVersions(node, text, index) {
    if (node.versions)
      throw new ExpressionError("expected one list of versions, such as @1.12,1.14:, found a second one", index);
    node.versions = cachestats.versions.allowed(text.slice(1).replaceAll(/\s/g, ""));
    if (!node.versions)
      throw new ExpressionError(`expected versions such as @1.14, @=1.14.1 or @1.8:1.14, found '${text}'`, index);
  }

  function addSwitch(node, { sign, name_of_switch: name }, index) {
    if (WITH_VALUE.includes(name))
      throw new ExpressionError(`expected a value for ${name}, such as ${name}=...`, index);
    if (sign.length > 1) refusePropagation(`${sign}${name}`, index);
    addVariant(node, name, sign === "+" ? "true" : "false", false, index);
  }

  function addPair(node, { key, equals, value: quoted }, index) {
    const value = unquoted(quoted);
    if (equals.endsWith("==")) {
      if (NOT_PROPAGATED.includes(key)) throw new ExpressionError(`expected '=' after ${key}, found '=='`, index);
      refusePropagation(`${key}==`, index);
    }
    if (Object.hasOwn(ARCHITECTURE, key)) addArchitecture(node, ARCHITECTURE[key], value, index);
    else if (key === "namespace") {
      if (node.namespace !== null) throw new ExpressionError("expected namespace once, found it twice", index);
      node.namespace = value;
    } else if (FLAGS.includes(key)) node.flags.push([key, splitFlags(value)]);
    else addVariant(node, key, value, equals.startsWith(":"), index);
  }

  function addArchitecture(node, key, value, index) {
    const triple = value.split("-");
    const parts =
      key !== "arch"
        ? { [key]: value }
        : triple.length === 3
          ? { platform: triple[0], os: triple[1], target: triple[2] }
          : { target: value };
    for (const [name, part] of Object.entries(parts)) {
      if (!part || part === "None") continue;
      if (Object.hasOwn(node.architecture, name))
        throw new ExpressionError(`expected ${name} once, found it twice`, index);
      node.architecture[name] = part;
    }
  }

  function addVariant(node, name, text, isExact, index) {
    if (node.variants.some((one) => one.name === name))
      throw new ExpressionError(`expected the variant ${name} once, found it twice`, index);
    const value = ["TRUE", "FALSE"].includes(text.toUpperCase()) ? text.toLowerCase() : text;
    const values = [...new Set(value.split(/\s*,\s*/))];
    if (values.includes(ANY) && values.length > 1)
      throw new ExpressionError(`expected '*' alone, for any value of ${name}`, index);
    const isPlain = values.length === 1 && ["true", "false", ANY].includes(values[0]);
    node.variants.push({ name, values, isExact: isExact && !isPlain });
  }

  function refusePropagation(text, index) {
    throw new ExpressionError(`'${text}' concerns dependencies, which this page does not know; ${NEEDS_SHELL}`, index);
  }

  function unquoted(value) {
    const [quote] = value;
    return quote === "'" || quote === '"' ? value.slice(1, -1).replaceAll(`\\${quote}`, quote) : value;
  }

  // Return single compiler flags, each with its value.
  function splitFlags(text) {
    const flags = [];
    for (const word of text.split(/\s+/).filter(Boolean)) {
      if (flags.length && !word.startsWith("-")) flags[flags.length - 1] += ` ${word}`;
      else flags.push(word);
    }
    return flags;
  }

  // Return the words of a text as a shell reads them.
  function shellWords(text) {
    const words = text.match(/(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/gs) ?? [];
    const plain = (part) =>
      part[0] === "'"
        ? part.slice(1, -1)
        : part[0] === '"'
          ? part.slice(1, -1).replaceAll(/\\(["\\])/g, "$1")
          : part.replaceAll(/\\(.)/gs, "$1");
    return words.map((word) => word.replaceAll(/'[^']*'|"(?:[^"\\]|\\.)*"|(?:[^'"\\]|\\.)+/gs, plain));
  }

  // Evaluation: for each column of which a condition speaks, which of its codes fulfil it.

  // Return which specs of a snapshot satisfy what was parsed, 1 for each that does.
  function satisfying(parsed, snapshot, names, variants) {
    const found = new Uint8Array(snapshot.rows);
    for (const one of parsed.alternatives) {
      const conditions = conditionsOf(one, snapshot, names, variants);
      for (let row = 0; row < found.length; row += 1) {
        if (!found[row] && conditions.every(([column, fulfils]) => fulfils[column[row]])) found[row] = 1;
      }
    }
    return parsed.isExcluded ? found.map((one) => 1 - one) : found;
  }

  function needsVariants(parsed) {
    return parsed.alternatives.some((one) => [one, ...one.compilers].some((part) => part.variants.length));
  }

  function conditionsOf(expression, snapshot, names, variants) {
    const conditions = [];
    const demand = (column, test) => conditions.push([snapshot.columns[column], codes(names.names[column], test)]);
    const parts = [expression];
    for (const compiler of expression.compilers) {
      const rest = { ...compiler, name: null, versions: null };
      if (!snapshot.is_spack_1) parts.push(rest);
      else if (snapshot.has_dependencies || isDemanding(rest)) {
        throw new ExpressionError(
          `'%' asks for direct dependencies in ${snapshot.name}, which this page does not know; choose a compiler among the filters, or ask with cachestats find, in a shell`,
        );
      }
      demand("compiler", isCompiler(compiler, names));
    }
    for (const part of parts) addConditions(part, demand, snapshot, names);
    const wanted = parts.flatMap((part) => part.variants);
    if (wanted.length) conditions.push([snapshot.columns.variants, haveVariants(variants, wanted)]);
    return conditions;
  }

  const isDemanding = (part) =>
    part.namespace !== null || part.variants.length || part.flags.length || Object.keys(part.architecture).length;

  function addConditions(part, demand, snapshot, names) {
    const { name, namespace, versions, flags, architecture } = part;
    if (name !== null) {
      if (!names.names.package.includes(name)) {
        throw new ExpressionError(
          `expected a package of this report, found '${name}'; if it is a virtual package, ${NEEDS_SHELL}`,
        );
      }
      demand("package", (one) => one === name);
    }
    if (versions) demand("version", versions);
    if (namespace !== null) demandRecorded("namespace", (one) => one === namespace, demand, names);
    for (const key of ["platform", "os"]) {
      if (Object.hasOwn(architecture, key)) demand(key, (one) => architecture[key] === one || one === ANY);
    }
    if (Object.hasOwn(architecture, "target")) {
      const ranges = architecture.target.split(",");
      demand("target", (one) => ranges.some((range) => isInRange(one, range, names.hosts.runs)));
    }
    for (const [key, wanted] of flags) {
      demandRecorded("flags", (text) => hasFlags(text, key, wanted), demand, names);
    }
  }

  function demandRecorded(column, test, demand, names) {
    if (names.names[column].every((name) => name === null)) {
      throw new ExpressionError(`expected the ${column} of the specs, found none: pages do not list them`);
    }
    demand(column, test);
  }

  const codes = (names, test) => Uint8Array.from(names, (name) => name !== null && test(name));

  function isCompiler({ name, versions }, { compilers }) {
    const wanted = Object.hasOwn(compilers, name) ? compilers[name] : name;
    return (compiler) => {
      const at = compiler.indexOf("@");
      const [there, version] = at < 0 ? [compiler, ""] : [compiler.slice(0, at), compiler.slice(at + 1)];
      return (wanted === null || there === wanted) && (!versions || versions(version));
    };
  }

  function isInRange(target, range, runs) {
    const runnable = (machine) => runs[machine] ?? [machine];
    const colon = range.indexOf(":");
    if (colon < 0) return range === target || range === ANY;
    const [low, high] = [range.slice(0, colon), range.slice(colon + 1)];
    return (!low || runnable(target).includes(low)) && (!high || runnable(high).includes(target));
  }

  function hasFlags(text, key, wanted) {
    const found = shellWords(text).find((word) => word.startsWith(`${key}=`));
    const there = found === undefined ? [] : splitFlags(found.slice(key.length + 1));
    return wanted.every((flag) => there.includes(flag));
  }

  // Return which texts of variants fulfil all conditions.
  function haveVariants(variants, wanted) {
    const fulfilled = wanted.map((one) => Uint8Array.from(variants.names, (text) => fulfils(text, one)));
    const found = new Uint8Array(variants.columns.lengths.length);
    let place = 0;
    for (let code = 0; code < found.length; code += 1) {
      const end = place + variants.columns.lengths[code];
      let number = 0;
      for (; place < end; place += 1) for (const one of fulfilled) number += one[variants.columns.members[place]];
      found[code] = number >= wanted.length;
    }
    return found;
  }

  function fulfils(text, { name, values, isExact }) {
    const [there, found] = splitVariant(text);
    if (there !== name) return false;
    if (values.includes(ANY)) return true;
    if (name === "patches") {
      // of the checksums, tables have the first characters; an expression may have fewer
      const begin = (wanted) => found.some((one) => one.startsWith(wanted.slice(0, one.length)));
      return values.every(begin) && (!isExact || found.length === values.length);
    }
    return values.every((value) => found.includes(value)) && (!isExact || found.length === values.length);
  }

  // Return the name and the distinct values of a variant.
  function splitVariant(text) {
    if (text[0] === "+" || text[0] === "~") return [text.slice(1), [text[0] === "+" ? "true" : "false"]];
    const equals = text.indexOf("=");
    if (equals < 0) return [text, [""]];
    return [text.slice(0, equals), [...new Set(text.slice(equals + 1).split(","))]];
  }

  return { ExpressionError, parse, satisfying, needsVariants, splitVariant };
})();
