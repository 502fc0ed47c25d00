// The slowest calls one by one, each where it was in time, its parts beside each other: their order is not recorded.

function slowest() {
  const list = el('ol', { class: 'slowest' });
  const end = max(meta.duration_ns, 1);
  let locks = false;
  const overlaps = (call, range) => range && call.start_ns < meta.slices[range[1] - 1][1] && call.start_ns + call.wall_ns > meta.slices[range[0]][0];
  const inRange = call => !chosen.first || overlaps(call, chosen.first) || overlaps(call, chosen.second);
  function line(call) {
    const sum = call.parts.reduce((a, b) => a + b, 0);
    const stripes = bar(call.parts, sum);
    stripes.style.marginLeft = `${(100 * min(call.start_ns, end)) / end}%`;
    stripes.style.width = `${min(100, (100 * call.wall_ns) / end)}%`;
    const least = call.at_least ? '≥ ' : '';
    const when = call.at_least ? 'began before the recording' : `from ${(call.start_ns / 1e9).toFixed(3)} s`;
    return el('li', {}, el('details', {}, el('summary', {}, el('b', {}, `${least}${duration(call.wall_ns + call.before_ns)} ${call.call}`), ` ${call.process}[${call.pid}] `, el('span', { class: 'note' }, `${when}: ${call.of}`), stripes),
      el('p', {}, `Thread ${call.thread}, returned ${call.returned}. ${sum ? spoken(call.parts, sum) : ''}`), bar(call.parts, sum),
      el('ol', { class: 'stack' }, ...call.stack.map(name => names[name]).reverse().map(name => el('li', {}, name)))));
  }
  function follow() {
    const calls = meta.slowest.filter(call => call.user_lock === locks && inRange(call));
    list.replaceChildren(...calls.map(line), calls.length ? '' : 'none in this range');
  }
  chosen.listeners.push(follow);
  follow();
  const label = checkbox('futex waits', on => { locks = on; follow(); });
  const both = meta.slowest.some(call => call.user_lock);
  return [hint('Each bar is where the call was in time. Colours are sums of its parts; their order is not recorded.'), controls(both ? label : null), list];
}
