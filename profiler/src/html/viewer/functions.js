// Functions of a graph, whatever stands below them; and the sum of those that a search finds.

// For each name its own weight, and that of all paths through it, each path once.
function functionsOf(view) {
  const { graph, widths } = view;
  const [own, all] = [new Float64Array(names.length), new Float64Array(names.length)];
  const open = new Int32Array(names.length);
  const stack = [];
  for (let node = 1; node < graph.size; node++) {
    while (stack.length && node >= graph.end[stack[stack.length - 1]]) leave(stack.pop());
    if (widths[node] <= 0) { node = graph.end[node] - 1; continue; }
    for (let frame = graph.start[node]; frame < graph.start[node + 1]; frame++) if (!open[graph.frames[frame]]++) all[graph.frames[frame]] += widths[node];
    own[graph.frames[graph.start[node + 1] - 1]] += widths[node];
    if (graph.parent[node]) own[graph.frames[graph.start[graph.parent[node] + 1] - 1]] -= widths[node];
    stack.push(node);
  }
  function leave(node) {
    for (let frame = graph.start[node]; frame < graph.start[node + 1]; frame++) open[graph.frames[frame]]--;
  }
  const lines = [];
  for (let name = 0; name < names.length; name++) if (all[name] > 0) lines.push({ name, own: max(0, own[name]), all: all[name] });
  return lines;
}

// Which names a pattern is found in; none for what is no pattern.
function matcher(text) {
  if (!text) return null;
  let pattern;
  try { pattern = new RegExp(text, 'i'); } catch { return undefined; }
  return Uint8Array.from(names, name => (pattern.test(name) ? 1 : 0));
}

// Weight of all paths with a name that is found, each once.
function matched(view, match) {
  const { graph, widths } = view;
  let sum = 0;
  for (let node = 1; node < graph.size;) {
    const hit = graph.run(node).some(name => match[name]);
    if (hit) sum += widths[node];
    node = hit ? graph.end[node] : node + 1;
  }
  return sum;
}
