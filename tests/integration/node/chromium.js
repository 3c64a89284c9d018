// A client in a real Chromium, without a window, driven over WebDriver.
//
//   node chromium.js event-source|fetch|fetch-event-source ORIGIN METHOD PATH [BODY [COUNT]]
//
// It opens ORIGIN/page/, whose script runs the client, and prints what that sees, a JSON line each, to the end of the stream or up to
// COUNT lines. Needs Debian's packages `chromium` and `chromium-driver`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const [client, origin, method, path, body = '', count = Infinity] = process.argv.slice(2);

// A shell stands between, so that the driver ends with this process, however that ends: `read` sees the end of the pipe. The browser
// ends with the driver, since that holds the pipe over which it is driven.
const shell = 'chromedriver --port=0 & driver=$!; read _; kill $driver; wait $driver';
const driver = spawn('sh', ['-c', shell], { stdio: ['pipe', 'pipe', 'inherit'] });

async function driverPort() {
  for await (const line of createInterface({ input: driver.stdout })) {
    const port = /started successfully on port (\d+)/.exec(line)?.[1];
    if (port) return port;
  }
  throw new Error('chromedriver did not start: install chromium-driver');
}

// One command of the WebDriver protocol.
async function command(verb, where, what) {
  const response = await fetch(where, { method: verb, body: what && JSON.stringify(what) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${verb} ${where}: ${value.error}: ${value.message}`);
  return value;
}

const browser = {
  binary: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-proxy-server', '--remote-debugging-pipe'],
};

const base = `http://127.0.0.1:${await driverPort()}/session`;
const capabilities = { alwaysMatch: { browserName: 'chrome', 'goog:chromeOptions': browser } };
const session = `${base}/${(await command('POST', base, { capabilities })).sessionId}`;
const query = new URLSearchParams({ client, method, url: path, body });
await command('POST', `${session}/url`, { url: `${origin}/page/?${query}` });

let printed = 0;
for (let ended = false; !ended; await sleep(50)) {
  for (const line of await command('POST', `${session}/execute/sync`, { script: 'return window.take?.() ?? []', args: [] })) {
    console.log(JSON.stringify(line));
    printed += 1;
    ended ||= line.end === true || printed >= count;
  }
}
await command('DELETE', session);
driver.stdin.end();
await once(driver, 'exit');
