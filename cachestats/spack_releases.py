def usual_libc(os):
    return {
        "ubuntu22.04": "glibc@2.35",
        "ubuntu20.04": "glibc@2.31",
        "ubuntu18.04": "glibc@2.27",
        "ubuntu24.04": "glibc@2.39",
        "amzn2": "glibc@2.26",
        "rhel8": "glibc@2.28",
    }.get(os)


def rules_of_snapshot(name):
    return (
        "0.21"
        if name < "develop-2024-05" and name != "develop"
        else "0.23"
        if name < "develop-2025-03-30" and name != "develop"
        else "1.1"
    )


def spec_format_of(rules):
    return 5 if rules == "1.1" else 4


def spec_format_of_database(v):
    return {"5": 1, "6": 3, "7": 4, "8": 5, "9": 6}.get(v)


def rules_of_sources(name, generations, *, names_libc):
    dbs = [g for g in generations if g.startswith("db")]
    if any(int(g[2:].split(".")[0]) >= 8 for g in dbs):
        return "1.1"
    if dbs:
        return "0.23" if names_libc else "0.21"
    return rules_of_snapshot(name)
