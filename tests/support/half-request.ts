import { connect } from 'node:net';

/** A refresh whose body is still on its way: the server has the request in hand until `finish` sends the rest. */
export type HalfRequest = { readonly finish: () => void; readonly answer: Promise<string> };

export async function beginRefresh(url: string, token: string): Promise<HalfRequest> {
  const body = JSON.stringify({ token });
  const lines = ['POST /v2/auth/refresh HTTP/1.1', 'Host: a', 'Content-Type: application/json', 'Connection: close'];
  const head = [...lines, `Content-Length: ${body.length}`, '', ''].join('\r\n');
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let received = '';
  socket.on('data', (data) => (received += data.toString()));
  socket.on('error', () => undefined);
  socket.on('close', () => resolve(received));
  await new Promise<void>((sent) => socket.write(head + body.slice(0, 10), () => sent()));
  return { finish: () => void socket.write(body.slice(10)), answer: promise };
}
