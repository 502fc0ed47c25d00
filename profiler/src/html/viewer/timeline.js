// The time line: latency of a call over time as a heat map, and below it how much of the shown graph was when. A drag chooses a range.

const heat = share => `hsl(${34 - 34 * share} 88% ${88 - 58 * share}%)`;
const LEFT = 64;
const STRIP = 36;
// Rows of an octave.
const FINE = 4;

function timeline(calls) {
  const slices = meta.slices;
  const end = slices[SLICES - 1][1] || 1;
  const map = calls.length ? 190 : 0;
  let [cells, low, high, strip, graph, second, drag, begin, cursor, width] = [new Map(), 0, 3, [], null, false, null, null, 0, 1];
  const canvas = el('canvas', { tabindex: 0, role: 'application', 'aria-label': 'Time line. Arrows move, with shift choose a range; Enter takes it, d as second range, Escape goes back.' });
  const tip = el('p', { class: 'tip', role: 'status' }, ' ');
  const said = el('strong', { id: 'chosen', role: 'status' });

  // Calls by name: work first, the longest first.
  const byName = new Map();
  for (const line of calls) {
    const call = byName.get(line.cells[0]) || { lines: [], work: false };
    byName.set(line.cells[0], call);
    call.lines.push(line.slices);
    call.work ||= line.kind === 'work';
  }
  for (const call of byName.values()) call.total = histogram(call.lines).total;
  const order = [...byName].sort(([, a], [, b]) => b.work - a.work || b.total - a.total);

  function take(name) {
    cells = new Map();
    [low, high] = [99, 0];
    for (const [slice, times] of byName.get(name).lines.flatMap(own => [...own])) {
      if (slice >= SLICES) continue;
      for (const [bucket, events] of times.buckets) {
        const key = slice * 1000 + floor((bucket * FINE) / 8);
        cells.set(key, (cells.get(key) || 0) + events);
        [low, high] = [min(low, bucket >> 3), max(high, bucket >> 3)];
      }
    }
    high = max(high, low + 2);
    draw();
  }

  const rows = () => (high - low + 1) * FINE;
  const x = ns => LEFT + ((width - LEFT - 8) * ns) / end;

  function draw() {
    let pen;
    [pen, width] = prepared(canvas, map + STRIP + 22);
    const fill = (color, from, to, y, height) => {
      pen.fillStyle = color;
      pen.fillRect(x(from), y, max(1, x(to) - x(from) - 0.5), height);
    };
    const write = (text, align, left, y) => {
      [pen.fillStyle, pen.textAlign] = [ink(), align];
      pen.fillText(text, left, y);
    };
    const tall = map / rows();
    const most = Math.log(max(2, ...cells.values()));
    for (const [key, events] of cells) fill(heat(Math.log(events) / most), ...slices[floor(key / 1000)], map - tall * ((key % 1000) - low * FINE + 1), tall - 0.5);
    for (let ns = 10; map && ns < 1e13; ns *= 10) {
      const y = map - tall * (Math.log2(ns) - 2 - low) * FINE;
      if (y <= 4 || y >= map - 4) continue;
      write(duration(ns).replace(/\.0+\s/, ' '), 'right', LEFT - 6, y);
      fill(faint(), 0, end, y, 0.5);
    }
    const peak = max(1e-9, ...strip);
    strip.forEach((value, slice) => fill(dark ? '#6da3d8' : '#3b6ea5', ...slices[slice], map + STRIP, (-(STRIP - 6) * value) / peak));
    if (graph) write(graph.row.name, 'right', LEFT - 6, map + STRIP - 10);
    const marks = width < 500 ? 2 : 5;
    for (let part = 0; part <= marks; part++) write(part ? `${((end * part) / marks / 1e9).toFixed(1)} s` : 'start', part === marks ? 'right' : 'center', x((end * part) / marks), map + STRIP + 12);
    for (const mark of meta.marks) fill(mark.from_ns < mark.to_ns ? '#8886' : '#c00', mark.from_ns, mark.to_ns, 0, map + STRIP);
    for (const [range, color, label] of [[chosen.first, '#1a7f37', '1'], [chosen.second, '#8250df', '2'], [drag, '#888', '']]) {
      if (!range) continue;
      const [from, to] = [x(slices[range[0]][0]), x(slices[range[1] - 1][1])];
      [pen.strokeStyle, pen.lineWidth] = [color, 2];
      pen.strokeRect(from, 1, to - from, map + STRIP - 2);
      write(label, 'left', from + 4, 10);
    }
    if (document.activeElement === canvas) fill(ink(), ...slices[cursor], map + STRIP + 1, 3);
    said.textContent = `Shown: ${chosenText()}`;
  }

  function sliceAt(e) {
    const found = slices.findIndex(([, to]) => e.offsetX < x(to));
    return found < 0 ? SLICES - 1 : found;
  }

  function tell(e) {
    const slice = sliceAt(e);
    const row = floor((1 - e.offsetY / map) * rows()) + low * FINE;
    const [from, to] = [row, row + 1].map(own => duration(bucketLow((own * 8) / FINE)));
    const cell = e.offsetY < map ? `${count(cells.get(slice * 1000 + row) || 0)} calls of ${from} to ${to}` : graph && `${graph.row.name} ${exact(strip[slice], graph.unit)}`;
    const marks = meta.marks.filter(mark => mark.to_ns >= slices[slice][0] && mark.from_ns <= slices[slice][1]).map(mark => mark.text);
    tip.textContent = [`${rangeText([slice, slice + 1])}: ${cell}`, ...marks].join(' · ');
  }

  function finish(range, asSecond) {
    [begin, drag] = [null, null];
    if (asSecond && chosen.first) choose(chosen.first, range);
    else choose(range);
  }

  const grow = (from, to) => {
    [begin, drag] = [from, from === null ? null : [min(from, to), max(from, to) + 1]];
    draw();
  };
  on(canvas, {
    pointerdown: e => { canvas.setPointerCapture(e.pointerId); grow(sliceAt(e), sliceAt(e)); },
    pointermove: e => { tell(e); if (begin !== null) grow(begin, sliceAt(e)); },
    pointerup: e => { if (drag) finish(drag, second || e.shiftKey); },
    'focus blur': draw,
    keydown: e => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
      const here = drag || [cursor, cursor + 1];
      if (step) {
        const from = e.shiftKey ? begin ?? cursor : null;
        cursor = max(0, min(SLICES - 1, cursor + step));
        grow(from, cursor);
        tip.textContent = rangeText(drag || [cursor, cursor + 1]);
      } else if (e.key === 'Enter' || e.key === 'd') finish(here, e.key === 'd');
      else if (e.key === 'Escape') finish(null);
      else return;
      e.preventDefault();
    },
  });

  chosen.listeners.push(draw);
  redraws.push(draw);
  const [label] = select('Latency of', order.map(([name, call]) => [name, `${name} (${duration(call.total)})`]), take);
  if (map) queueMicrotask(() => take(order[0][0]));
  return {
    whole: [hint('Drag: graphs and tables follow the range. Drag with shift, for a second range: they show the difference.'),
      controls(map ? label : null, checkbox('drag the second range', on => { second = on; }), button('whole recording', () => finish(null)), said), el('div', {}, canvas), tip],
    strip: shown => {
      graph = shown;
      strip = slices.map((_, slice) => graph.cellWeight.subarray(graph.cellStart[slice], graph.cellStart[slice + 1]).reduce((a, b) => a + b, 0));
      draw();
    },
  };
}
