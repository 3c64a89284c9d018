// HTTP/2 in cleartext as Node speaks it (nghttp2, so another implementation than ours), for both edges of a proxy.
//
//   node http2.js serve           runs a server on a free port
//   node http2.js call URL        makes requests of every kind on one connection
//   node http2.js subscribe URL   one event stream, for as long as it lasts
//
// On standard output, one JSON line each: {"port": N} and {"path": …, "code": N} for a stream that was reset; {"ok": …} for a check that
// passed and {"done": N} at the end; {"event": …}, {"goaway": N}, {"end": true} or {"code": N}. What goes wrong ends `call` with an
// exception.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import { setTimeout as pause } from 'node:timers/promises';

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR } = http2.constants;
const say = (line) => console.log(JSON.stringify(line));
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

// The server.

const events = { ':status': 200, 'content-type': 'text/event-stream' };

const routes = {
  async '/events'(stream) {
    stream.respond(events);
    for (let number = 1; number <= 4; number += 1) {
      stream.write(`id: ${number}\ndata: event ${number}\n\n`);
      await pause(500);
    }
    stream.end();
  },
  '/hang'(stream) {
    stream.respond(events);
    stream.write('data: begun\n\n');
  },
  '/fail'(stream) {
    stream.respond(events);
    stream.write('data: begun\n\n', () => setTimeout(() => stream.destroy(new Error('lost')), 100));
  },
  '/echo'(stream, headers) {
    stream.respond({ ':status': 200, 'x-length': headers['content-length'] ?? 'none' });
    stream.pipe(stream);
  },
  '/trailers'(stream) {
    let sent = {};
    stream.on('trailers', (trailers) => { sent = trailers; });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': sent['x-sum'] ?? 'none' }));
    stream.resume();
    stream.on('end', () => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.end('body');
    });
  },
  '/cookies'(stream, headers) {
    stream.respond({ ':status': 200, 'set-cookie': ['a=1', 'b=2; Path=/'] });
    stream.end(headers.cookie ?? 'none');
  },
};

function serve() {
  const server = http2.createServer();
  server.on('stream', (stream, headers) => {
    const path = headers[':path'].split('?')[0];
    // A reset is told by `close`.
    stream.on('error', () => {});
    stream.on('close', () => { if (stream.rstCode) say({ path, code: stream.rstCode }); });
    const route = routes[path];
    if (route) route(stream, headers);
    else {
      stream.respond({ ':status': 404, 'content-length': 2 });
      stream.end(headers[':method'] === 'HEAD' ? undefined : 'no');
    }
  });
  server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
}

// The client.

async function read(request) {
  const [head] = await once(request, 'response');
  const parts = [];
  for await (const part of request) parts.push(part);
  return { head, body: Buffer.concat(parts) };
}

function post(session, path, headers = {}) {
  return session.request({ ':method': 'POST', ':path': path, ...headers });
}

const checks = {
  async 'settings'(session) {
    const { maxConcurrentStreams, initialWindowSize } = session.remoteSettings;
    assert.deepEqual([maxConcurrentStreams, initialWindowSize], [128, 256 * 1024]);
  },
  async 'events between heartbeats'(session) {
    const { head, body } = await read(session.request({ ':path': '/events', accept: 'text/event-stream' }));
    assert.equal(head['content-type'], 'text/event-stream');
    const lines = body.toString().split('\n');
    assert(lines.filter((line) => line === ':').length >= 4, `too few heartbeats in ${body}`);
    const data = lines.filter((line) => line.startsWith('data'));
    assert.deepEqual(data, [1, 2, 3, 4].map((number) => `data: event ${number}`));
  },
  async 'a large echo'(session) {
    const bytes = randomBytes(8 << 20);
    const request = post(session, '/echo', { 'content-length': bytes.length });
    request.end(bytes);
    const { head, body } = await read(request);
    assert.equal(head['x-length'], String(bytes.length));
    assert.equal(digest(body), digest(bytes));
  },
  async 'an echo in lockstep'(session) {
    const request = post(session, '/echo');
    const answers = request[Symbol.asyncIterator]();
    for (let number = 0; number < 100; number += 1) {
      request.write(`part ${number}`);
      assert.equal(String((await answers.next()).value), `part ${number}`);
    }
    request.end();
    assert((await answers.next()).done);
  },
  async 'trailers in both directions'(session) {
    const request = session.request({ ':method': 'POST', ':path': '/trailers', te: 'trailers' }, { waitForTrailers: true });
    request.on('wantTrailers', () => request.sendTrailers({ 'x-sum': '7' }));
    const trailers = once(request, 'trailers');
    request.end('body');
    const { body } = await read(request);
    assert.equal(String(body), 'body');
    assert.equal((await trailers)[0]['x-sum'], '7');
  },
  async 'cookies'(session) {
    const { head, body } = await read(session.request({ ':path': '/cookies', cookie: ['a=1', 'b=2'] }));
    assert.equal(String(body), 'a=1; b=2');
    assert.deepEqual(head['set-cookie'], ['a=1', 'b=2; Path=/']);
  },
  async 'a hundred at once'(session) {
    const requests = Array.from({ length: 100 }, (_, number) => {
      const request = post(session, '/echo');
      request.end(`body ${number}`);
      return read(request);
    });
    const bodies = (await Promise.all(requests)).map(({ body }) => String(body));
    assert.deepEqual(bodies, bodies.map((_, number) => `body ${number}`));
  },
  async 'answers without a body'(session) {
    const { head, body } = await read(session.request({ ':method': 'HEAD', ':path': '/nowhere' }));
    assert.deepEqual([head[':status'], head['content-length'], body.length], [404, '2', 0]);
  },
  async 'a stream that its server loses'(session) {
    const request = session.request({ ':path': '/fail', accept: 'text/event-stream' });
    await assert.rejects(read(request));
    assert.equal(request.rstCode, NGHTTP2_INTERNAL_ERROR);
  },
  async 'a stream that its client leaves'(session) {
    const request = session.request({ ':path': '/hang', accept: 'text/event-stream' });
    await once(request, 'data');
    request.close(NGHTTP2_CANCEL);
    await once(request, 'close');
  },
  async 'a ping'(session) {
    await new Promise((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())));
  },
};

async function call(url) {
  const session = http2.connect(url);
  await once(session, 'remoteSettings');
  for (const [name, check] of Object.entries(checks)) {
    await check(session);
    say({ ok: name });
  }
  session.close();
  await once(session, 'close');
  say({ done: Object.keys(checks).length });
}

function subscribe(url) {
  const session = http2.connect(url);
  session.on('goaway', (code) => say({ goaway: code }));
  const request = session.request({ ':path': '/hang', accept: 'text/event-stream' });
  request.setEncoding('utf8');
  request.on('data', (data) => { if (data.startsWith('data: ')) say({ event: data.slice(6).trim() }); });
  request.on('end', () => say({ end: true }));
  request.on('error', () => {});
  request.on('close', () => { if (request.rstCode) say({ code: request.rstCode }); });
}

const [role, url] = process.argv.slice(2);
await { serve, call, subscribe }[role](url);
