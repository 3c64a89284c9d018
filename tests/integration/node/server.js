// An event stream as people write it with Express: no header beyond the media type, no heartbeat, no knowledge of a proxy.
//
//   node server.js [MILLISECONDS]   broadcasts a `tick` so often; 0 or nothing: only what is triggered
//
//   GET  /events             the stream; opens with what was missed since Last-Event-ID
//   POST /trigger            {"count": N, "text": "…"}: N events named `note` to everybody, at once
//   POST /end                ends all streams, properly, and asks to come back soon
//   POST /chat               answers a POST with a stream of {"words": […]} and ends it
//
// On standard output: {"port": N} once, then {"lastEventId": …} for each stream that opens and {"closed": true} for each that closes.

import express from 'express';

const say = (line) => console.log(JSON.stringify(line));
const app = express();
const clients = new Set();
const history = [];

function broadcast(event, data) {
  const id = history.length + 1;
  const block = `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
  history.push(block);
  for (const client of clients) client.write(block);
}

function open(res) {
  res.set('Content-Type', 'text/event-stream');
  res.flushHeaders();
}

app.use(express.json());

app.get('/events', (req, res) => {
  open(res);
  const last = req.get('Last-Event-ID') ?? null;
  say({ lastEventId: last });
  if (last !== null) for (const block of history.slice(Number(last))) res.write(block);
  clients.add(res);
  res.on('close', () => {
    clients.delete(res);
    say({ closed: true });
  });
});

app.post('/trigger', (req, res) => {
  const { count = 1, text = 'hello' } = req.body ?? {};
  for (let n = 1; n <= count; n += 1) broadcast('note', { n, text });
  res.json({ sent: count, to: clients.size });
});

app.post('/end', (_req, res) => {
  const ended = clients.size;
  for (const client of clients) client.end('retry: 200\n\n');
  res.json({ ended });
});

app.post('/chat', (req, res) => {
  open(res);
  for (const word of req.body.words) res.write(`data: ${word}\n\n`);
  res.write('data: [DONE]\n\n');
  res.end();
});

const every = Number(process.argv[2] ?? 0);
let ticks = 0;
if (every > 0) setInterval(() => broadcast('tick', { tick: (ticks += 1) }), every);

const listener = app.listen(0, '127.0.0.1', (error) => {
  if (error) throw error;
  say({ port: listener.address().port });
});
