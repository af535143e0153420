// Versions as Spack orders and includes them: what `cachestats/naming.py` and `version_ranges.py` say, in JavaScript.
"use strict";

cachestats.versions = (() => {
  const INFINITE = ["stable", "nightly", "trunk", "head", "master", "main", "develop"];
  const PRERELEASES = ["alpha", "beta", "rc", "final"];
  const FINAL = [[3, 0, ""]];
  const [INFINITE_PART, NUMBER, WORD] = [2, 1, 0]; // the kinds of parts
  const VERSION = "[A-Za-z0-9_.-]+";
  const SHA = /^[0-9a-f]{40}$/;
  const RANGE = new RegExp(`^(${VERSION})?:(${VERSION})?$`);
  const EXACT = new RegExp(`^=(${VERSION})$`);
  const SINGLE = new RegExp(`^${VERSION}$`);
  const GIT = new RegExp(
    `^=?(?:(?:git\\.)?([A-Za-z0-9_./-]+)=(${VERSION}|(?:${VERSION})?:(?:${VERSION})?)|(?:git\\.([A-Za-z0-9_./-]+)|([0-9a-f]{40})))$`,
  );
  const known = new Map(); // keys by version: there are few versions, and each is asked for often

  const isDigits = (text) => /^[0-9]+$/.test(text);

  function compare(one, other) {
    if (!Array.isArray(one)) return one < other ? -1 : one > other ? 1 : 0;
    for (let place = 0; place < Math.min(one.length, other.length); place += 1) {
      const found = compare(one[place], other[place]);
      if (found) return found;
    }
    return one.length - other.length;
  }

  // Return [whether it is an unknown commit, release, stage among the prereleases, commit].
  function key(version) {
    if (!known.has(version)) known.set(version, computedKey(version));
    return known.get(version);
  }

  function computedKey(version) {
    if (!isGit(version)) return [0, ...parts(version), ""];
    const { reference, assigned } = gitParts(version);
    if (assigned === null || assigned.includes(":")) return [1, [], [], version.replace(/^git\./, "")];
    return [0, ...parts(assigned), reference];
  }

  const isGit = (version) => version.startsWith("git.") || version.indexOf("=", 1) > 0 || SHA.test(version);

  function gitParts(version) {
    const text = version.replace(/^git\./, "");
    const equals = text.indexOf("=");
    return equals < 0
      ? { reference: text, assigned: null }
      : { reference: text.slice(0, equals), assigned: text.slice(equals + 1) };
  }

  function parts(version) {
    let segments = version.match(/[0-9]+|[a-zA-Z]+/g) ?? [];
    let end = segments.length && isDigits(segments.at(-1)) ? segments.slice(-2) : segments.slice(-1); // such as `rc1`
    if (segments.length > end.length && PRERELEASES.includes(end[0])) segments = segments.slice(0, -end.length);
    else end = ["final"];
    return [segments.map(part), [[PRERELEASES.indexOf(end[0]), 0, ""], ...end.slice(1).map(part)]];
  }

  function part(segment) {
    if (isDigits(segment)) {
      const digits = segment.replace(/^0+/, "");
      return [NUMBER, digits.length, digits];
    }
    return INFINITE.includes(segment) ? [INFINITE_PART, INFINITE.indexOf(segment), ""] : [WORD, 0, segment];
  }

  const bound = (version) => key(version).slice(1, 3);

  // The first version after all that begin like this one.
  function after(version) {
    const [release, stage] = bound(version);
    if (compare(stage, FINAL)) return [release, [stage[0], stage.length > 1 ? next(stage[1]) : [NUMBER, 0, ""]]];
    if (!release.length) return [[[WORD, 0, "A"]], stage];
    return [[...release.slice(0, -1), next(release.at(-1))], stage];
  }

  function next([kind, number, text]) {
    if (kind === INFINITE_PART) return [kind, number + 1, text];
    if (kind === WORD) {
      const last = text.at(-1);
      return [kind, 0, last === "z" ? `${text}A` : text.slice(0, -1) + String.fromCharCode(last.charCodeAt(0) + 1)];
    }
    const following = String(BigInt(text || "0") + 1n);
    return [kind, following.length, following];
  }

  const exactly = (wanted) => (version) => compare(key(wanted), key(version)) === 0;

  function between(low, high) {
    if (low && high && compare(after(high), bound(low)) <= 0) return null;
    return (version) => {
      const [isUnknown, ...found] = key(version);
      if (isUnknown) return !low && !high;
      const place = found.slice(0, 2);
      return (!low || compare(bound(low), place) <= 0) && (!high || compare(place, after(high)) < 0);
    };
  }

  function isReference(reference, versions) {
    return (version) => {
      const found = gitParts(version);
      if (!isGit(version) || found.reference !== reference) return false;
      return versions ? found.assigned !== null && versions(found.assigned) : true;
    };
  }

  // Return whether a version is among those of one alternative, as a function; null if it is none.
  function alternative(text) {
    const exact = EXACT.exec(text);
    if (exact && !isGit(exact[1])) return exactly(exact[1]);
    const range = exact ? null : RANGE.exec(text);
    if (range && ![range[1], range[2]].some((end) => end && isGit(end))) return between(range[1], range[2]);
    if (!exact && !range && SINGLE.test(text) && !isGit(text)) return between(text, text);
    const git = GIT.exec(text);
    if (!git) return null;
    const [, assigned, versions, reference, sha] = git;
    if (assigned === undefined) return isReference(reference ?? sha, null);
    const colon = versions.indexOf(":");
    if (colon < 0) return isReference(assigned, exactly(versions));
    return isReference(assigned, between(versions.slice(0, colon), versions.slice(colon + 1)));
  }

  // Return whether a version is allowed by the text after the `@` of a spec, as a function; null if it is no such text.
  function allowed(text) {
    const alternatives = text.replaceAll(" ", "").split(",").map(alternative);
    return alternatives.includes(null) ? null : (version) => alternatives.some((includes) => includes(version));
  }

  return { key, compare, allowed };
})();
