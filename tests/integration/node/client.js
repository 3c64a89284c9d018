// A real EventSource client (npm `eventsource`), as an application uses it.
//
//   node client.js URL
//
// On standard output, one JSON line each: {"open": true}, {"error": CODE or null, "state": N} and, for an event,
// {"type": …, "id": …, "data": …}. It listens to everything that the server sends and to the default type, so that an event made up by
// a heartbeat would be seen. It runs until it is killed.

import { EventSource } from 'eventsource';

const say = (line) => console.log(JSON.stringify(line));
const source = new EventSource(process.argv[2]);

const event = ({ type, lastEventId, data }) => say({ type, id: lastEventId, data });
for (const type of ['message', 'note', 'tick']) source.addEventListener(type, event);
source.addEventListener('open', () => say({ open: true }));
source.addEventListener('error', ({ code }) => say({ error: code ?? null, state: source.readyState }));
