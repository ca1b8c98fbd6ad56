import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { demoUsers } from '../src/cli/demo-data.ts';
import { sendRaw } from '../src/http/raw-client.ts';
import { type Face, type FaultName, faces } from './support/door-faces.ts';
import { allDoors, open } from './support/four-doors.ts';
import { startTestServer, type TestServer } from './support/server.ts';
import { breakStore } from './support/store-trouble.ts';
import { readAnswer } from './support/user-session.ts';

const { john } = demoUsers;
const uuid4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const megabyte = 'x'.repeat(1_048_576);

/** What a client sends, or what befalls the server meanwhile: head lines without `Host`, and a body. */
type Sent = { readonly lines: readonly string[]; readonly hosts?: readonly string[]; readonly body?: string };

const sent: Readonly<Record<FaultName, (face: Face, credential: string) => Sent>> = {
  'unknown path': (face) => ({ lines: [`GET ${face.unknownPath} HTTP/1.1`] }),
  'wrong method': (face) => ({ lines: [`PATCH ${face.path} HTTP/1.1`] }),
  'repeated Host': (face) => ({
    lines: [`POST ${face.path} HTTP/1.1`],
    hosts: ['auth.example.com', 'evil.example.com'],
  }),
  'unsound Host': (face) => ({ lines: [`POST ${face.path} HTTP/1.1`], hosts: ['a b'] }),
  'repeated credential': (face, credential) => face.repeated(credential),
  'body of 1 MB': (face) => face.post(megabyte),
  'wrong media type': (face) => face.wrongType,
  'body that is no document': (face) => face.post('{"a":'),
  'store out of reach': (face, credential) => face.check(credential),
  'mistake of ours': (face, credential) => face.check(credential),
  stopping: (face, credential) => face.check(credential),
};

function bytesOf({ lines, hosts = ['auth.example.com'], body = '' }: Sent): string {
  const length = body === '' ? [] : [`Content-Length: ${body.length}`];
  const head = [...lines, ...hosts.map((host) => `Host: ${host}`), ...length, 'Connection: close', '', ''];
  return head.join('\r\n') + body;
}

/** The whole answer but for the instant: ids are checked for their form and left out, and so is the length. */
function comparable(received: string): unknown {
  const { status, headers, text } = readAnswer(received);
  const named = Object.fromEntries(headers);
  const { date, 'content-length': length, 'x-request-id': id, 'x-transaction-id': transaction, ...rest } = named;
  expect(date).toEndWith(' GMT');
  expect(Number(length)).toBe(Buffer.byteLength(text));
  if (transaction === undefined) expect(id).toMatch(/^[A-Za-z0-9._-]{1,64}$/);
  else expect([id, transaction]).toEqual([undefined, expect.stringMatching(uuid4)]);
  const timeless = text
    .replace(/"time":1778175000000,/, '"time":0,')
    .replace('<string>1778175000000</string>', '<string>0</string>');
  return { status, headers: rest, text: timeless };
}

async function send(server: TestServer, face: Face, name: FaultName, credential: string): Promise<unknown> {
  const port = Number(new URL(server.url).port);
  return comparable(await sendRaw(port, bytesOf(sent[name](face, credential))));
}

describe.each(faces.map((face) => [face.name, face] as const))('faults at %s', (_, face) => {
  let server: TestServer;
  let credential: string;
  beforeAll(async () => {
    server = await startTestServer({ settings: allDoors });
    credential = await open(server, john, face.kind);
  });
  afterAll(() => server.close());

  const plain = Object.keys(sent).slice(0, 8) as FaultName[];
  test.each(plain)('%s: the whole answer is that of the contract', async (name) => {
    expect(await send(server, face, name, credential)).toEqual(face.answers[name]);
  });

  test.each(plain.slice(0, 4))(
    '%s: the same with a good credential: path and method are judged before it',
    async (name) => {
      const { lines, ...rest } = sent[name](face, credential);
      const withCredential = { ...rest, lines: [...lines, ...face.credentialLines(credential)] };
      const port = Number(new URL(server.url).port);
      expect(comparable(await sendRaw(port, bytesOf(withCredential)))).toEqual(face.answers[name]);
    },
  );

  test('D05: a store out of reach is never a 401, and all is well when it is back', async () => {
    const trouble = breakStore(server);
    try {
      expect(await send(server, face, 'store out of reach', credential)).toEqual(face.answers['store out of reach']);
    } finally {
      trouble.mend();
    }
    expect(await send(server, face, 'store out of reach', credential)).toMatchObject({ status: 200 });
  });

  test('I05: a mistake of ours tells nothing of itself', async () => {
    const trouble = breakStore(server, { error: new TypeError('select secret from src/inside.ts') });
    try {
      expect(await send(server, face, 'mistake of ours', credential)).toEqual(face.answers['mistake of ours']);
    } finally {
      trouble.mend();
    }
  });

  test('F21: a request half sent when the stop begins is told to come back', async () => {
    const stopping = await startTestServer({ settings: allDoors });
    const token = await open(stopping, john, face.kind);
    const port = Number(new URL(stopping.url).port);
    const whole = bytesOf(sent.stopping(face, token));
    const half = await sendInHalves(port, whole, () => stopping.close());
    expect(comparable(half)).toEqual(face.answers.stopping);
  });
});

describe('faults over TLS', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ settings: allDoors });
  });
  afterAll(() => server.close());

  const overTls = ['unknown path', 'body of 1 MB', 'wrong media type', 'body that is no document'] as const;
  const there = faces.filter(({ path }) => !path.startsWith('/hybridity/'));
  test.each(there.map((face) => [face.name, face] as const))(
    '%s says the same, and that browsers should stay with TLS',
    async (_, face) => {
      for (const name of overTls) {
        const { lines, body } = sent[name](face, '');
        const [method = '', path = ''] = (lines[0] ?? '').split(' ');
        const fields = lines.slice(1).map((line) => line.split(': ') as [string, string]);
        const init = { method, headers: fields, tls: { rejectUnauthorized: false } };
        const answer = await fetch(server.httpsUrl + path, body === undefined ? init : { ...init, body });
        const { headers, status, text } = face.answers[name];
        expect({ name, status: answer.status }).toEqual({ name, status });
        expect(Object.fromEntries(answer.headers)).toMatchObject({
          ...headers,
          'strict-transport-security': 'max-age=31536000; includeSubDomains',
        });
        expect((await answer.text()).replace(`"time":${server.clock.nowMs},`, '"time":0,')).toBe(text);
      }
    },
  );
});

/** Sends the first bytes, lets `between` begin once the server has them, and then the others. @returns what came back */
async function sendInHalves(port: number, text: string, between: () => Promise<void>): Promise<string> {
  const connected = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  let received = '';
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port,
    socket: {
      open: () => connected.resolve(),
      data: (_, data) => {
        received += data.toString('latin1');
      },
      close: () => closed.resolve(),
    },
  });
  await connected.promise;
  socket.write(text.slice(0, 10));
  // The answer to a later connection shows that the server has the half request by now.
  await fetch(`http://127.0.0.1:${port}/healthz`);
  const ended = between();
  socket.write(text.slice(10));
  await Promise.all([closed.promise, ended]);
  return received;
}
