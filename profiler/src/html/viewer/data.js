// The data of the page: columns are LEB128 numbers, deflated; html/column.rs writes them.

const meta = JSON.parse(document.getElementById('meta').textContent);
const SLICES = meta.slices.length;
let packed = null;
let names = [];

async function unpack() {
  const text = document.getElementById('data').textContent;
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), c => c.charCodeAt(0));
  let at = 0;
  packed = meta.columns.map(length => bytes.subarray(at, (at += length)));
  names = new TextDecoder().decode(await column(meta.names)).split('\n');
}

async function column(number) {
  const stream = new Blob([packed[number]]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function numbers(bytes) {
  let size = 0;
  for (let i = 0; i < bytes.length; i++) size += bytes[i] < 128;
  const values = new Float64Array(size);
  let [value, scale, at] = [0, 1, 0];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    value += (byte & 127) * scale;
    if (byte < 128) {
      values[at++] = value;
      [value, scale] = [0, 1];
    } else scale *= 128;
  }
  return values;
}
// A graph: nodes in order, each before what stands on it. A node is a run of frames of the same weight; node 0 is the root and has none.
async function readGraph(row) {
  const [pops, runs, frames, places, weights] = (await Promise.all(row.columns.map(column))).map(numbers);
  const size = row.nodes;
  const graph = {
    row, size, unit: row.unit, frames: Int32Array.from(frames),
    parent: new Int32Array(size), start: new Int32Array(size + 1), depth: new Int32Array(size),
    cellStart: new Int32Array(SLICES + 2), cellNode: new Int32Array(weights.length), cellWeight: weights,
  };
  const stack = [0];
  for (let node = 1, frame = 0; node < size; node++) {
    stack.length -= pops[node - 1];
    const parent = stack[stack.length - 1];
    graph.parent[node] = parent;
    graph.start[node] = frame;
    graph.depth[node] = graph.depth[parent] + (parent ? graph.start[parent + 1] - graph.start[parent] : 1);
    frame += runs[node - 1];
    graph.start[node + 1] = frame;
    stack.push(node);
  }
  for (let slice = 0, at = 0, cell = 0; slice <= SLICES; slice++) {
    graph.cellStart[slice] = cell;
    let node = 0;
    for (let left = places[at++]; left > 0; left--) graph.cellNode[cell++] = node += places[at++];
    graph.cellStart[slice + 1] = cell;
  }
  return ready(graph);
}

// What every graph has: where each subtree ends, the frames of a node.
function ready(graph) {
  graph.end = ends(graph.parent);
  graph.run = node => graph.frames.subarray(graph.start[node], graph.start[node + 1]);
  return graph;
}

// For each node the first one that does not stand on it.
function ends(parent) {
  const end = Int32Array.from(parent, (_, node) => node + 1);
  for (let node = parent.length - 1; node > 0; node--) end[parent[node]] = max(end[parent[node]], end[node]);
  return end;
}

// Times of a table's rows: by row, by slice.
async function readTimes(row) {
  const values = numbers(await column(row.column));
  let at = 0;
  return row.rows.map(() => {
    const slices = new Map();
    for (let slice = -1, step; (step = values[at++]) > 0;) {
      slice += step;
      const times = { total: values[at++], max: values[at++], buckets: [] };
      for (let left = values[at++], bucket = 0; left > 0; left--) times.buckets.push([(bucket += values[at++]), values[at++]]);
      slices.set(slice, times);
    }
    return slices;
  });
}

// A histogram of some slices: 8 buckets an octave, as profiler-common has them.
function histogram(rows, range) {
  const sum = { count: 0, total: 0, max: 0, buckets: new Map() };
  for (const slices of rows) {
    for (const [slice, times] of slices) {
      if (range && (slice < range[0] || slice >= range[1])) continue;
      sum.total += times.total;
      sum.max = max(sum.max, times.max);
      for (const [bucket, events] of times.buckets) {
        sum.count += events;
        sum.buckets.set(bucket, (sum.buckets.get(bucket) || 0) + events);
      }
    }
  }
  sum.buckets = [...sum.buckets].sort((a, b) => a[0] - b[0]);
  return sum;
}

const bucketLow = bucket => (bucket < 8 ? bucket : (8 + (bucket % 8)) * 2 ** (floor(bucket / 8) - 1));

function percentile(times, permille) {
  const rank = max(1, Math.ceil((times.count * permille) / 1000));
  let seen = 0;
  for (const [bucket, events] of times.buckets) {
    seen += events;
    if (seen >= rank) return min(bucketLow(bucket + 1) - 1, times.max);
  }
  return 0;
}
