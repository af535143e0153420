// How the search ranks what it finds: pages for users before options of the command line and pages for maintainers.
var Scorer = {
  score: ([page, title, anchor, , score]) => {
    if (/^contributing\/|^reference\/(benchmarks|changelog|rules)/.test(page)) return score - 20;
    if (anchor.startsWith("#cmdoption")) return score - 20;
    return /^(how-to|concepts|start)\//.test(page) ? score + (page.startsWith("concepts/") ? 6 : 5) : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
