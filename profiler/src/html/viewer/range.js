// The chosen stretches of time: none is the whole recording; two are a difference.

const chosen = { first: null, second: null, listeners: [] };

function choose(first, second) {
  [chosen.first, chosen.second] = [first, second];
  for (const listener of chosen.listeners) listener();
}

function seconds(range) {
  if (!range) return meta.duration_ns / 1e9;
  let sum = 0;
  for (let slice = range[0]; slice < range[1]; slice++) sum += meta.slices[slice][1] - meta.slices[slice][0];
  return max(sum / 1e9, 1e-9);
}

function rangeText(range) {
  if (!range) return 'the whole recording';
  const at = ns => `${(ns / 1e9).toFixed(1)} s`;
  return `${at(meta.slices[range[0]][0])} to ${at(meta.slices[range[1] - 1][1])}`;
}

function chosenText() {
  if (!chosen.second) return rangeText(chosen.first);
  return `second range (${rangeText(chosen.second)}) less first range (${rangeText(chosen.first)}), per second`;
}

// Weight of each node of a graph in a range, what stands on it included. Roots of idle time are left out when they are hidden.
function totals(graph, range, hidden) {
  const sums = new Float64Array(graph.size);
  const [from, to] = range || [0, SLICES + 1];
  for (let cell = graph.cellStart[from]; cell < graph.cellStart[to]; cell++) sums[graph.cellNode[cell]] += graph.cellWeight[cell];
  for (let node = graph.size - 1; node > 0; node--) sums[graph.parent[node]] += sums[node];
  for (const root of hidden) {
    sums[0] -= sums[root];
    sums.fill(0, root, graph.end[root]);
  }
  return sums;
}

// Nodes whose first frame says that nobody was at work, if there is work beside them.
function asideRoots(graph) {
  const roots = [];
  let others = 0;
  for (let node = 1; node < graph.size; node = graph.end[node]) {
    if (['[idle]', '[user lock]'].includes(names[graph.run(node)[0]])) roots.push(node);
    else others++;
  }
  return others ? roots : [];
}
