// Tables that are sorted by a click on a title, and filtered by words.

const SHOWN = 15;

// Columns are {title, number, cell(row), key(row), draw}; rows are anything.
function table(caption, rows, columns, sorted) {
  let [down, words, all] = [true, [], false];
  const head = el('thead');
  const body = el('tbody');
  const said = el('span', { class: 'note', role: 'status' });
  const more = button('', () => { all = !all; show(); });
  const filter = el('input', { type: 'search', placeholder: `filter ${caption}`, oninput: () => { words = filter.value.toLowerCase().trim().split(' '); show(); } });

  function kept() {
    const found = !words[0] ? rows : rows.filter(row => {
      const text = columns.map(column => (column.draw ? '' : column.cell(row))).join(' ').toLowerCase();
      return words.every(word => text.includes(word));
    });
    const by = columns[sorted];
    if (!by) return found;
    const sign = down ? -1 : 1;
    const compare = (a, b) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : a < b ? -sign : sign);
    return found.map(row => [by.key(row), row]).sort((a, b) => compare(a[0], b[0])).map(([, row]) => row);
  }

  function title(column, at) {
    const order = at !== sorted ? 'none' : down ? 'descending' : 'ascending';
    const sort = () => { [sorted, down] = [at, at === sorted ? !down : Boolean(column.number)]; show(); };
    const mark = { none: '', descending: ' ▾', ascending: ' ▴' }[order];
    return el('th', { 'aria-sort': order, class: column.number ? 'number' : '' }, column.draw ? column.title : button(column.title + mark, sort));
  }

  function cell(column, row) {
    const text = column.draw ? column.draw(row) : column.cell(row);
    return el('td', { class: column.number ? 'number' : '' }, column.action ? button(text, () => column.action(row)) : text);
  }

  function show(newRows = rows, newColumns = columns) {
    [rows, columns] = [newRows, newColumns];
    const found = kept();
    head.replaceChildren(el('tr', {}, ...columns.map(title)));
    body.replaceChildren(...(all ? found : found.slice(0, SHOWN)).map(row => el('tr', {}, ...columns.map(column => cell(column, row)))));
    more.hidden = found.length <= SHOWN;
    more.textContent = all ? `first ${SHOWN}` : `all ${count(found.length)} rows`;
    said.textContent = found.length < rows.length ? `${count(found.length)} of ${count(rows.length)} rows` : '';
  }

  show();
  return { show, whole: el('div', {}, controls(filter, more, said), el('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': caption }, el('table', {}, head, body))) };
}

// A histogram in a cell: latency to the right, on a logarithmic scale that is the same in all rows.
function sparkline(times, [low, high]) {
  const canvas = el('canvas', { class: 'spark', role: 'img', 'aria-label': times.count ? `half within ${duration(percentile(times, 500))}, longest ${duration(times.max)}` : 'nothing' });
  [canvas.width, canvas.height] = [192, 32];
  const pen = canvas.getContext('2d');
  pen.fillStyle = dark ? '#e8985a' : '#b34a12';
  const most = max(...times.buckets.map(([, events]) => events), 1);
  const step = 192 / max(1, high - low + 1);
  for (const [bucket, events] of times.buckets) {
    const height = 2 + (30 * Math.log1p(events)) / Math.log1p(most);
    pen.fillRect((bucket - low) * step, 32 - height, max(1, step), height);
  }
  return canvas;
}

// A table whose rows have times: it follows the chosen range.
async function timedTable(row) {
  const times = await readTimes(row);
  let aside = false;
  const all = row.rows.map(([cells, kind], at) => ({ cells, kind, slices: times[at] }));
  const texts = row.titles.map((title, at) => ({ title, cell: line => line.cells[at], key: line => (title === 'pid' ? sortable(line.cells[at]) : line.cells[at].toLowerCase()) }));
  const made = table(row.title, [], texts, row.titles.length + 1);

  const number = (title, key, spell = duration) => ({ title, number: true, cell: line => spell(key(line)), key });
  // A figure of one range, or of both.
  const figure = (title, of, spell) => (chosen.second
    ? [number(`${title}, first`, line => of(line.first), spell), number(`${title}, second`, line => of(line.second), spell)] : [number(title, line => of(line.first), spell)]);

  function columns() {
    const ends = all.flatMap(line => line.first.buckets.map(([bucket]) => bucket)).sort((a, b) => a - b);
    const change = line => line.second.total / seconds(chosen.second) - line.first.total / seconds(chosen.first);
    return [...texts, ...figure('number', own => own.count, count),
      chosen.second ? number('change a second', change, ns => `${ns < 0 ? '−' : '+'}${duration(abs(ns))}`) : number('total', line => line.first.total),
      ...figure('p50', own => percentile(own, 500)), ...figure('p99', own => percentile(own, 990)), ...figure('longest', own => own.max),
      { title: 'latency →', draw: line => sparkline(line.first, [ends[0], ends[ends.length - 1]]) }];
  }

  function follow() {
    for (const line of all) {
      line.first = histogram([line.slices], chosen.first);
      line.second = chosen.second && histogram([line.slices], chosen.second);
    }
    made.show(all.filter(line => (aside || line.kind === 'work' || !line.kind) && (line.first.count || line.second?.count)), columns());
  }

  chosen.listeners.push(follow);
  redraws.push(made.show);
  follow();
  if (all.some(line => line.kind && line.kind !== 'work')) made.whole.firstChild.append(asideBox(on => { aside = on; follow(); }));
  return { whole: made.whole, lines: all };
}
