import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { demoUsers } from '../src/cli/demo-data.ts';
import { sendRaw } from '../src/http/raw-client.ts';
import { type Face, type FaultName, faces } from './support/door-faces.ts';
import { bytesOf, comparable, type Sent } from './support/face-exchange.ts';
import { allDoors, open } from './support/four-doors.ts';
import { startTestServer, type TestServer } from './support/server.ts';
import { breakStore } from './support/store-trouble.ts';

const { john } = demoUsers;
const megabyte = 'x'.repeat(1_048_576);

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
async function sendInHalves(port: number, bytes: Buffer, between: () => Promise<void>): Promise<string> {
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
  socket.write(bytes.subarray(0, 10));
  // The answer to a later connection shows that the server has the half request by now.
  await fetch(`http://127.0.0.1:${port}/healthz`);
  const ended = between();
  socket.write(bytes.subarray(10));
  await Promise.all([closed.promise, ended]);
  return received;
}
