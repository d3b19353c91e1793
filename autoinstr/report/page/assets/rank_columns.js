// The columns of the table of ranks.

function listRankColumns(ranks) {
  const { tree } = ranks;
  const get = (key) => (row) => ranks.figuresOfRow.get(key, row);
  const time = (key, title, hint, value, drop) =>
    makeDurationColumn(key, title, hint, "11ch", value, drop);
  const ratio = (key, title, hint, width, getTime) => {
    const value = (row) => {
      const ns = getTime(row);
      const usual = ranks.getUsual(row);
      return ns === null || !usual ? null : ns / usual;
    };
    return {
      key,
      title,
      hint,
      kind: "number",
      width,
      value,
      text: (row) => formatRatio(value(row)),
    };
  };
  const usual = ranks.isPair ? "min" : "median";
  const getSelected = (row) => ranks.getMean(row, ranks.rank);
  const getSlowest = (row) => {
    const rank = get("worst")(row);
    return rank === null ? null : ranks.getProcess(rank);
  };
  const slowestColumn = {
    key: "worst",
    title: "Slowest",
    kind: "text",
    width: "16ch",
    drop: 2,
    value: get("worst"),
    text: (row) => formatRank(getSlowest(row)),
    title_of: (row) => getSlowest(row)?.label ?? "",
  };
  return [
    {
      key: "module",
      title: "Module",
      kind: "name",
      value: (row) => tree.paths[row],
      text: (row) => tree.labels[row],
    },
    time("min", "Min", "Mean time of a call in the fastest rank", get("min"), 1),
    time("median", "Median", "Median over the ranks of the mean time of a call", get("median")),
    time("max", "Max", "Mean time of a call in the slowest rank", get("max")),
    ratio(
      "spread",
      `Max / ${usual}`,
      `The slowest rank divided by the ${usual}`,
      "15ch",
      get("max"),
    ),
    slowestColumn,
    {
      ...time(
        "selected",
        "Selected rank",
        "Mean time of a call in the rank selected above",
        getSelected,
      ),
      width: "15ch",
    },
    ratio(
      "selected_ratio",
      `Selected / ${usual}`,
      `The selected rank divided by the ${usual}`,
      "18ch",
      getSelected,
    ),
  ];
}

/** Return "rank 3", or the label of a process without a rank. */
function formatRank(process) {
  if (!process) return "";
  return process.rank === null ? process.label : `rank ${process.rank}`;
}

/** Add the section if there is a comparison. Return it, or null. */
function drawRanks() {
  const places = data.groups.flatMap(({ domains }, group) =>
    domains.flatMap((tree, domain) => (tree.ranks ? [[group, domain]] : [])),
  );
  return places.length ? new RanksSection(places) : null;
}
