// The page: what is where, and what follows what.

function header() {
  const started = new Date(meta.started_unix_s * 1000).toISOString().slice(0, 19);
  page.append(el('h1', {}, meta.target), el('p', {}, `${duration(meta.duration_ns)} on ${meta.host}, Linux ${meta.kernel}, from ${started} UTC.`));
  for (const { text } of meta.sections) {
    if (!text) break;
    if (text[0]) page.append(el('p', { class: /[a-z]/.test(text[0]) ? 'note' : 'warning' }, el('b', {}, `${text[0]} `), text[1]));
  }
}

function findings(follow) {
  const line = found => {
    const graph = meta.graphs.find(row => row.probe === found.probe);
    const times = meta.tables.find(row => row.name === found.probe);
    const links = [graph && el('a', { href: '#graphs', onclick: () => follow(graph.name) }, `graph ${graph.name}`), times && el('a', { href: `#table-${times.name}` }, `table of ${times.title}`), el('a', { href: '#sections' }, 'all tables')];
    const numbers = found.numbers.map(([name, value]) => el('li', {}, `${name} ${count(value)}${name.endsWith('_ns') ? ` (${duration(value)})` : ''}`));
    const cost = found.cost_ns === null ? '' : ` Cost: ${duration(found.cost_ns)} of the target's threads.`;
    return el('li', {}, el('p', {}, found.sentence), el('details', {}, el('summary', {}, 'evidence'),
      note(`Rule ${found.rule}, confidence ${found.confidence}.${found.threshold && ` Told when ${found.threshold}.`}${cost}`), el('p', { class: 'controls' }, ...links), el('ul', {}, ...numbers)));
  };
  section('findings', 'Where did the time go', meta.findings.length ? el('ol', { class: 'findings' }, ...meta.findings.map(line)) : note('No rule found anything.'));
}

function graphSection(line) {
  let [row, graph, view, aside, wide, center, sides] = [null, null, null, false, false, null, []];
  const [pick, list] = select('Graph', meta.graphs.map(own => [own.name, `${own.name}: ${own.title}`]), name => follow(name));
  const title = el('p', { class: 'hint', role: 'status' });
  const sum = el('span', { class: 'note', role: 'status', id: 'found' });
  const search = el('input', { type: 'search', id: 'search', placeholder: 'search (regex)', oninput: () => find() });
  const main = flame('Flame graph', () => view, { sandwich: name => open(name) });
  const halves = ['callers', 'callees'].map((label, at) => flame(`Flame graph of ${label}`, () => sides[at], { sandwich: name => open(name) }));
  const middle = el('div', { class: 'sandwich', hidden: true });
  const widths = checkbox('widths of the first range', on => { wide = on; update(); });
  const idle = asideBox(on => { aside = on; update(); });
  const per = () => (chosen.second ? '/s' : '');
  const spell = value => weight(value, row.unit) + per();
  const numeric = (title, cell, of) => ({ title, number: true, cell: own => cell(own[of]), key: own => own[of] });
  const ratio = value => share(value, view.widths[0]);
  const functions = table('functions', [], [
    { title: 'function', cell: own => names[own.name], key: own => names[own.name].toLowerCase(), action: own => open(own.name) },
    numeric('own', spell, 'own'), numeric('share', ratio, 'own'), numeric('with what it calls', spell, 'all')], 1);

  function find() {
    const match = matcher(search.value);
    for (const own of [main, ...halves]) own.search(match);
    const hits = match ? matched(view, match) : 0;
    sum.textContent = match ? `found: ${spell(hits)}, ${ratio(hits)}` : match === undefined ? 'not a regular expression' : '';
  }

  function open(name) {
    center = name;
    middle.hidden = name === null;
    if (name === null) return;
    sides = sandwich(view, name).map(([graph, widths, before, after]) => ({ graph, widths, before, after }));
    const whole = sides[0].widths[0];
    middle.replaceChildren(note(`${names[name]}: ${spell(whole)}, ${ratio(whole)}: who calls it, and what it calls.`), button('close', () => open(null)),
      el('h4', {}, 'callers'), halves[0].whole, el('h4', {}, 'callees'), halves[1].whole);
    for (const own of halves) own.follow();
  }

  function update() {
    if (!graph) return;
    view = viewOf(graph, aside, wide);
    widths.hidden = !chosen.second;
    idle.hidden = !asideRoots(graph).length;
    const said = [`${row.title}, ${chosenText()}: ${spell(view.widths[0])}.`];
    if (chosen.second) said.push('Red: more in the second range; blue: less.');
    if (view.left) said.push(`${weight(view.left, row.unit)} of idle time and user locks are left out.`);
    if (row.folded) said.push(`${count(row.folded)} of ${count(row.stacks)} stacks lack frames that weigh less than ${weight(row.narrowest, row.unit)}: no room in the page.`);
    if (row.timeless && SLICES) said.push(`${share(row.timeless, row.total)} of it has no time, and is only in the whole.`);
    title.textContent = said.join(' ');
    main.follow();
    functions.show(functionsOf(view));
    if (center !== null) open(center);
    find();
  }

  async function follow(name) {
    list.value = name;
    open(null);
    row = meta.graphs.find(own => own.name === name);
    graph = row.graph ||= await readGraph(row);
    line?.strip(graph);
    update();
  }

  chosen.listeners.push(update);
  section('graphs', 'Flame graphs',
    controls(pick, search, sum, checkbox('root on top', on => [main, ...halves].forEach(own => own.icicle(on))), idle, widths), title, main.whole,
    hint('Click: zoom; all: back. Twice: callers and callees. Keys: arrows, Enter, Escape, s, /.'), middle, functions.whole);
  on(window, { keydown: e => { if (e.key === '/' && !/INPUT|SELECT/.test(document.activeElement.tagName)) { search.focus(); e.preventDefault(); } } });
  return follow;
}

// The terminal report's tables as they are: of the whole recording.
function sections() {
  const parts = [];
  for (const { heading, text, table: rows } of meta.sections) {
    const last = parts[parts.length - 1];
    if (heading) parts.push(el('details', { open: true }, el('summary', {}, el('h3', {}, heading))));
    else if (last && text) last.append(el('p', {}, el('b', {}, `${text[0]} `), text[1]));
    else if (last) {
      const columns = rows[0].map((title, at) => ({ title, number: rows[1][at], cell: row => row[at], key: row => (rows[1][at] ? sortable(row[at]) : row[at].toLowerCase()) }));
      last.append(table(last.firstChild.textContent, rows[2], columns, -1).whole);
    }
  }
  // The first ones are the findings.
  return parts.slice(1);
}

async function start() {
  header();
  await unpack();
  let follow;
  findings(name => follow(name));
  const place = section('time', 'Over time');
  const tables = await Promise.all(meta.tables.map(timedTable));
  const line = SLICES ? timeline(tables[meta.tables.findIndex(row => row.name === 'syscall')]?.lines || []) : null;
  place.append(...(line?.whole || [note('Without times: the capture could not be read again.')]));
  const latency = meta.graphs.find(row => row.name === 'latency');
  if (latency) section('parts', 'Where slow calls spent their time', ...partBars(latency.graph = await readGraph(latency)));
  if (meta.graphs.length) follow = graphSection(line);
  section('slowest', 'Slowest calls one by one', ...slowest());
  meta.tables.forEach((row, at) => section(`table-${row.name}`, row.title, tables[at].whole));
  section('sections', 'Tables of the terminal report', ...sections());
  await follow?.(meta.graphs[0].name);
  on(scheme, { change: redrawAll });
  on(window, { resize: redrawAll, 'beforeprint afterprint': e => { printing = e.type === 'beforeprint'; redrawAll(); } });
  document.documentElement.dataset.ready = round(performance.now());
}

start();
