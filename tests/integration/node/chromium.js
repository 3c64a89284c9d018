// A real Chromium without a window, driven over WebDriver, for the clients that live in browsers.
//
//   node chromium.js
//
//   GET /open?origin=ORIGIN&client=…&method=…&url=…&body=…[&count=N]
//
// opens ORIGIN/page/ with the rest of the query in a frame of its own, and answers with what the client there sees, a JSON line each:
// to the end of its stream, or up to N lines, or until the asker leaves. Then the frame goes. On standard output: {"port": N}, as soon
// as the browser runs. Needs Debian's packages `chromium` and `chromium-driver`. The browser ends with this process.

import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

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

// A shell stands between, so that the driver ends with this process, however that ends: `read` sees the end of the pipe. The
// browser ends with the driver, since that holds the pipe over which it is driven.
function startDriver() {
  const shell = 'chromedriver --port=0 & driver=$!; read _; kill $driver; wait $driver';
  return spawn('sh', ['-c', shell], { stdio: ['pipe', 'pipe', 'inherit'] });
}

async function driverPort(driver) {
  for await (const line of createInterface({ input: driver.stdout })) {
    const port = /started successfully on port (\d+)/.exec(line)?.[1];
    if (port) return port;
  }
  throw new Error('chromedriver did not start');
}

// One command of the WebDriver protocol.
async function command(where, what) {
  const response = await fetch(where, { method: 'POST', body: JSON.stringify(what) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${where}: ${value.error}: ${value.message}`);
  return value;
}

async function startSession() {
  const browser = {
    binary: '/usr/bin/chromium',
    // Without a sandbox, since it cannot have one as root, nor shared memory in a container.
    args: ['headless', 'no-sandbox', 'disable-gpu', 'disable-dev-shm-usage', 'no-proxy-server', 'remote-debugging-pipe'],
  };
  const base = `http://127.0.0.1:${await driverPort(startDriver())}/session`;
  const capabilities = { alwaysMatch: { browserName: 'chrome', 'goog:chromeOptions': browser } };
  return `${base}/${(await command(base, { capabilities })).sessionId}`;
}

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
