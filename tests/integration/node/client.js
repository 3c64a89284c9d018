// A real EventSource client (npm `eventsource`), as an application uses it.
//
//   node client.js URL [COUNT]
//
// On standard output, one JSON line each: {"open": true}, {"error": CODE or null, "state": N} and, for an event,
// {"type": …, "id": …, "data": …}. It listens to everything that the server sends and to the default type, so that an event made up
// by a heartbeat would be seen. It runs until it is killed, or has printed COUNT lines, or an event says `done`; then it prints
// {"end": true}.

import { EventSource } from 'eventsource';

const [url, count = Infinity] = process.argv.slice(2);
const source = new EventSource(url);
let printed = 0;

function say(line) {
  console.log(JSON.stringify(line));
  printed += 1;
  if (printed >= count) source.close();
}

function event({ type, lastEventId, data }) {
  say({ type, id: lastEventId, data });
  if (data !== 'done') return;
  source.close();
  say({ end: true });
}

for (const type of ['message', 'note', 'tick', 'pause']) source.addEventListener(type, event);
source.addEventListener('open', () => say({ open: true }));
source.addEventListener('error', ({ code }) => say({ error: code ?? null, state: source.readyState }));
