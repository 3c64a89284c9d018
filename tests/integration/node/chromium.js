// A real Chromium without a window, driven over WebDriver, for the clients that live in browsers.
//
//   node chromium.js
//
//   GET /open?origin=ORIGIN&client=…&method=…&url=…&body=…[&count=N]
//
// opens ORIGIN/page/ with the rest of the query in a frame of its own, and answers with what the client there sees, a JSON line each:
// to the end of its stream, or up to N lines, or until the asker leaves. Then the frame goes. On standard output: {"port": N}, as soon
// as the browser runs. Needs Debian's packages `chromium` and `chromium-driver`. The browser ends with this process.

import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { command, startSession } from './webdriver.js';

// Holds the frames and gathers what they say, each line with the id of its frame.
const gatherer = `<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<script>
  const said = [];
  window.take = () => said.splice(0);
  window.addEventListener('message', ({ source, data }) => {
    const frame = [...document.querySelectorAll('iframe')].find(({ contentWindow }) => contentWindow === source);
    if (frame) said.push([frame.id, data]);
  });
</script>
<body>`;

const script = {
  open: `const frame = document.createElement('iframe');
    [frame.id, frame.src] = arguments;
    document.body.append(frame);`,
  close: 'document.getElementById(arguments[0]).remove()',
  take: 'return take()',
};

const session = await startSession();
const run = (name, ...args) => command(`${session}/execute/sync`, { script: script[name], args });

// Who waits for the lines of which frame, and for how many more.
const frames = new Map();

async function open({ origin, count = Infinity, ...rest }, answer) {
  const id = `frame ${Math.random()}`;
  frames.set(id, { answer, left: Number(count) });
  answer.on('close', async () => {
    frames.delete(id);
    await run('close', id);
  });
  await run('open', id, `${origin}/page/?${new URLSearchParams(rest)}`);
}

function hand(id, line) {
  const frame = frames.get(id);
  if (!frame || frame.left === 0) return;
  frame.answer.write(`${JSON.stringify(line)}\n`);
  frame.left = line.end ? 0 : frame.left - 1;
  if (frame.left === 0) frame.answer.end();
}

const server = createServer((request, answer) => {
  const { pathname, searchParams } = new URL(request.url, 'http://driver');
  if (pathname === '/open') return open(Object.fromEntries(searchParams), answer);
  answer.setHeader('Content-Type', 'text/html');
  answer.end(gatherer);
});

server.listen(0, '127.0.0.1', async () => {
  const { port } = server.address();
  await command(`${session}/url`, { url: `http://127.0.0.1:${port}/` });
  console.log(JSON.stringify({ port }));
  for (;;) {
    for (const [id, line] of await run('take')) hand(id, line);
    await sleep(50);
  }
});
