// Express with an event stream that tells the same story to everybody, slowly: the same as python/story_server.py tells.
//
//   node story.js PAUSE     in milliseconds: how long it is silent before each event and before the end
//
//   GET  /story             the story, then the end; to a client that comes back: what it named, a last word, and no end
//   POST /story             {"title": "…"}: the story under that title
//   GET  /page/             the page whose script holds the clients that live in browsers
//
// On standard output: {"port": N}.

import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const pause = Number(process.argv[2]);

const story = [
  (title) => `: welcome\nretry: 600\nid: 1\ndata: ${title}\n\n`,
  () => 'id: 2\nevent: note\ndata: line one\ndata: line two\ndata:\ndata: line four\n\n',
  () => 'id: 3\nevent: note\ndata: Grüße, 世界 🎉\n\n',
  () => ': an event without an id, and one without text\ndata: no id of its own\n\n',
  () => 'event: note\nid: 4\ndata:\n\n',
];

async function tell(res, events) {
  res.set('Content-Type', 'text/event-stream');
  res.flushHeaders();
  for (const event of events) {
    await sleep(pause);
    res.write(event);
  }
  await sleep(pause);
}

const app = express();
app.use('/page/modules', express.static(file('node_modules'), { extensions: ['js'] }));
app.use('/page', express.static(file('page')));

app.get('/story', async (req, res) => {
  const last = req.get('Last-Event-ID');
  if (last !== undefined) {
    await tell(res, [`id: 5\nevent: note\ndata: after ${last}\n\n`, 'id: 6\ndata: done\n\n']);
    return;
  }
  await tell(res, story.map((event) => event('first')));
  res.end();
});

app.post('/story', express.json(), async (req, res) => {
  await tell(res, story.map((event) => event(req.body.title)));
  res.end();
});

const listener = app.listen(0, '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(JSON.stringify({ port: listener.address().port }));
});
