// What a host can reuse, as Spack decides it: what `cachestats/analysis/reuse.py` says, in JavaScript.
"use strict";

cachestats.reuse = (() => {
  // In the order of their codes; all but the first two are obstacles.
  const STATUSES = [
    "native",
    "usable",
    "excluded",
    "platform",
    "target",
    "os",
    "libc",
    "format",
    "incomplete",
    "external",
  ];
  const [NATIVE, USABLE] = [0, 1];
  const code = (status) => STATUSES.indexOf(status);

  // Return the host that a text such as `zen4:rhel9` or `zen4:glibc@2.34` describes; null if it describes none.
  function host(text, hosts) {
    const [target, system, ...more] = text.split(":");
    if (!Object.hasOwn(hosts.runs, target) || !system || more.length) return null;
    const isLibc = system.includes("@");
    if (!isLibc && !Object.hasOwn(hosts.libcs, system)) return null;
    const platform = hosts.macos.includes(system) ? "darwin" : system.startsWith("windows") ? "windows" : "linux";
    const libc = isLibc ? system : platform === "linux" ? hosts.libcs[system] : null;
    return { target, platform, os: isLibc ? null : system, libc, text };
  }

  function runsOn(builtOn, os, { macos }) {
    if (!macos.includes(builtOn) || !macos.includes(os)) return builtOn === os;
    return macos.indexOf(builtOn) <= macos.indexOf(os);
  }

  function provides(host, libc) {
    if (host.libc === null || libc === null) return false;
    const [[name, version], [there, own]] = [libc.split("@"), host.libc.split("@")];
    const { key, compare } = cachestats.versions;
    return name === there && compare(key(version), key(own)) <= 0;
  }

  function lacksLibc(requirement, host, { libcs: usual }) {
    if (requirement.rules === "0.23" && !requirement.names_libc) return true;
    const isOfItsOs = requirement.oses.length === 1 && requirement.oses[0] === host.os;
    if (host.libc === null && isOfItsOs) return false;
    let { libcs } = requirement;
    if (requirement.is_assumed && !libcs.length && !isOfItsOs) libcs = requirement.oses.map((os) => usual[os] ?? null);
    return !libcs.every((libc) => provides(host, libc));
  }

  // Return `usable`, or the first obstacle.
  function judge(requirement, host, hosts) {
    if (requirement.rules === "1.1" && requirement.is_excluded) return "excluded";
    if (requirement.platforms.some((name) => name !== host.platform)) return "platform";
    if (!requirement.targets.every((name) => hosts.runs[host.target].includes(name))) return "target";
    if (host.platform === "linux" && requirement.rules !== "0.21") {
      if (lacksLibc(requirement, host, hosts)) return "libc";
    } else if (
      !requirement.oses.every((os) => (host.platform === "darwin" ? runsOn(os, host.os, hosts) : os === host.os))
    ) {
      return "os";
    }
    if (requirement.rules === "1.1" && requirement.is_old) return "format";
    if (requirement.is_incomplete) return "incomplete";
    return requirement.needs_externals ? "external" : "usable";
  }

  // Return the code of the status of each spec of a snapshot; `target` is the position of the host's.
  function statuses(columns, verdicts, target) {
    const found = new Uint8Array(columns.requirement.length);
    for (let row = 0; row < found.length; row += 1) {
      const verdict = verdicts[columns.requirement[row]];
      found[row] = verdict === USABLE && columns.target[row] === target ? NATIVE : verdict;
    }
    return found;
  }

  function verdicts(requirements, host, hosts) {
    return Uint8Array.from(requirements, (one) => (one.rules ? code(judge(one, host, hosts)) : code("excluded")));
  }

  return { STATUSES, NATIVE, USABLE, host, judge, verdicts, statuses };
})();
