function order(number) { return { id: number, name: 'item-' + number * 7919 % 1000, tags: ['a', 'b'], price: number / 7 }; }
function parse(text) { return JSON.parse(text).filter(one => /^item-\d*[02468]$/.test(one.name)); }
function sort(orders) { return orders.sort((a, b) => a.price - b.price || a.name.localeCompare(b.name)); }
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
function turn() {
  const orders = [];
  for (let number = 0; number < 300; number++) orders.push(order(number * 31 % 1000));
  sort(parse(JSON.stringify(orders)));
  fib(18);
  setImmediate(turn);
}
turn();
