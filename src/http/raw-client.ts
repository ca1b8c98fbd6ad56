import { connect } from 'node:net';

/**
 * For tests: speaks bytes to a server, since `fetch` cannot send what an attacker sends. Writes the first part at
 * once and each further part when something has come back.
 *
 * @returns all the server sent until it closed the connection (a server that keeps it open lets the test time out)
 */
export function sendRaw(port: number, ...parts: readonly (string | Uint8Array)[]): Promise<string> {
  const closed = Promise.withResolvers<string>();
  const waiting = [...parts];
  let received = '';
  const socket = connect(port, '127.0.0.1');
  const writeNext = (): void => {
    const part = waiting.shift();
    if (part !== undefined) socket.write(part);
  };
  socket.on('connect', writeNext);
  socket.on('data', (data) => {
    received += data.toString('latin1');
    writeNext();
  });
  // A reset is one way of closing; what came before it counts.
  socket.on('error', () => {});
  socket.on('close', () => closed.resolve(received));
  return closed.promise;
}

/** Sends the start of a request and hangs up without waiting. */
export function sendAndLeave(port: number, text: string): void {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.on('connect', () => socket.write(text, () => socket.destroy()));
}

/** Status codes of the answers in what `sendRaw` returned, in order. */
export function statuses(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]));
}

/** Body of the last answer. */
export function lastBody(received: string): string {
  return received.slice(received.lastIndexOf('\r\n\r\n') + 4);
}
