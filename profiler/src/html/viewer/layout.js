// What a graph shows: one weight for each node, or two that are compared.

// A view: its graph, the widths, and where there are two ranges the weights per second of both.
function viewOf(graph, showAside, wide) {
  const hidden = showAside ? [] : asideRoots(graph);
  const first = totals(graph, chosen.first, hidden);
  const left = hidden.length ? totals(graph, chosen.first, [])[0] - first[0] : 0;
  if (!chosen.second) return { graph, widths: first, left };
  const perSecond = (sums, range) => sums.map(sum => sum / seconds(range));
  const [before, after] = [perSecond(first, chosen.first), perSecond(totals(graph, chosen.second, hidden), chosen.second)];
  return { graph, before, after, widths: wide ? before : after, left };
}

// Trees made while the page is open, of paths with weights, as graphs.
class Merger {
  constructor(views) {
    [this.names, this.children, this.weights] = [[-1], [new Map()], views.map(() => [0])];
  }

  child(node, name) {
    let child = this.children[node].get(name);
    if (child === undefined) {
      child = this.names.push(name) - 1;
      this.children.push(new Map());
      this.weights.forEach(weights => weights.push(0));
      this.children[node].set(name, child);
    }
    return child;
  }

  add(node, values) {
    this.weights.forEach((weights, at) => { weights[node] += values[at]; });
  }

  // In order, each node before what stands on it; the heaviest first.
  graph(row) {
    const order = [];
    const parents = [];
    const stack = [[0, 0]];
    while (stack.length) {
      const [node, parent] = stack.pop();
      const at = order.push(node) - 1;
      parents.push(parent);
      const children = [...this.children[node].values()].sort((a, b) => this.weights[0][a] - this.weights[0][b]);
      for (const child of children) stack.push([child, at]);
    }
    const size = order.length;
    const parent = Int32Array.from(parents);
    const graph = { row, size, unit: row.unit, parent, frames: Int32Array.from(order.slice(1), node => this.names[node]),
      start: Int32Array.from({ length: size + 1 }, (_, at) => max(0, at - 1)), depth: new Int32Array(size) };
    for (let at = 1; at < size; at++) graph.depth[at] = graph.depth[parent[at]] + 1;
    return [ready(graph), ...this.weights.map(weights => Float64Array.from(order, node => weights[node]))];
  }
}

// A function with its callers, and with what it calls: of each path its first frame of that name.
function sandwich(view, name) {
  const { graph } = view;
  const sums = view.after ? [view.widths, view.before, view.after] : [view.widths];
  const [callers, callees] = [new Merger(sums), new Merger(sums)];
  const least = view.widths[0] / 4000;
  const step = (side, place, frame, values) => {
    const next = side.child(place, frame);
    side.add(next, values);
    return next;
  };
  for (let node = 1; node < graph.size;) {
    const at = graph.run(node).indexOf(name);
    if (at < 0 || sums.every(own => own[node] === 0)) { node++; continue; }
    const values = sums.map(own => own[node]);
    callers.add(0, values);
    callees.add(0, values);
    let place = step(callers, 0, name, values);
    for (let own = node, frame = graph.start[node] + at - 1; own; own = graph.parent[own], frame = graph.start[own + 1] - 1) {
      for (; frame >= graph.start[own]; frame--) place = step(callers, place, graph.frames[frame], values);
    }
    const places = new Map([[graph.parent[node], 0]]);
    for (let own = node; own < graph.end[node];) {
      if (own !== node && sums.every(sum => sum[own] <= least)) { own = graph.end[own]; continue; }
      const here = sums.map(sum => sum[own]);
      let above = places.get(graph.parent[own]);
      for (const frame of graph.run(own).subarray(own === node ? at : 0)) above = step(callees, above, frame, here);
      places.set(own++, above);
    }
    node = graph.end[node];
  }
  return [callers, callees].map(side => side.graph(graph.row));
}
