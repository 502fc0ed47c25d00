// Numbers as people read them.

const { abs, floor, max, min, round } = Math;

const count = value => String(round(value)).replace(/\B(?=(\d{3})+$)/g, ',');

function digits(value) {
  return value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

function duration(ns) {
  if (ns < 1000) return `${round(ns)} ns`;
  for (const [unit, size] of [['µs', 1e3], ['ms', 1e6], ['s', 1e9]]) {
    if (ns / size < 999.5) return `${digits(ns / size)} ${unit}`;
  }
  return `${count(ns / 1e9)} s`;
}

function share(part, whole) {
  const percent = whole > 0 ? (100 * part) / whole : 0;
  if (percent === 0) return '0 %';
  return percent < 0.1 ? '<0.1 %' : `${percent < 9.95 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}

// A weight of a graph: exact, and as people read it.
const weight = (value, unit) => (unit === 'ns' ? duration(value) : `${count(value)} ${unit}`);

function exact(value, unit) {
  const whole = `${count(value)} ${unit}`;
  return unit === 'ns' && value >= 1000 ? `${duration(value)} (${whole})` : whole;
}

// What a cell of a table is sorted by: its number with its unit, else nothing.
const UNITS = { ns: 1, 'µs': 1e3, ms: 1e6, s: 1e9, '%': 1, B: 1, KiB: 1024, MiB: 1048576, GiB: 1073741824 };

function sortable(text) {
  const found = /^[≥<]?\s*(-?[\d,]*\.?\d+)\s*(\S*)/.exec(text);
  return found ? parseFloat(found[1].replaceAll(',', '')) * (UNITS[found[2]] || 1) : null;
}
