// One thread. "sync": it answers before it reads from the next; "timers": each answer is made by a timer, a moment later. Tells at the
// end what CPU time each client took.
const net = require("net");
const taken = {};

function decode(milliseconds) {
  const end = process.hrtime.bigint() + BigInt(milliseconds) * 1000000n;
  let word = 7;
  while (process.hrtime.bigint() < end) for (let at = 0; at < 500; at++) word = (word * 31) % 1000003;
}

function answer(socket, client, asked) {
  const before = process.cpuUsage();
  decode(asked[0]);
  socket.write("!");
  const after = process.cpuUsage(before);
  taken[client] = (taken[client] || 0) + (after.user + after.system) * 1000;
}

const server = net.createServer((socket) => {
  const client = socket.remoteAddress;
  socket.on("error", () => {});
  socket.on("data", (asked) => {
    if (process.argv[2] === "sync") answer(socket, client, asked);
    else setTimeout(() => answer(socket, client, asked), 1 + Math.random() * 20);
  });
});
process.on("SIGTERM", () => { console.log(JSON.stringify(taken)); process.exit(0); });
server.listen(0, "127.0.0.1", 256, () => console.log(server.address().port));
