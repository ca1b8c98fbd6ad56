import type { Socket } from 'bun';
import { readAnswer } from '../../../bench/load/answer.ts';

/** An answer as it came; status 0 when the connection ended without one. */
export type WireAnswer = { readonly status: number; readonly head: string; readonly body: string };

/** One kept-alive connection, which sends one request at a time and opens anew after it was closed. */
export type Wire = { readonly ask: (request: string) => Promise<WireAnswer>; readonly close: () => void };

type Waiting = (answer: WireAnswer) => void;

const silence: WireAnswer = { status: 0, head: '', body: '' };

/** Raw sockets, since a client library would use more of the machine than the server that it asks. */
export function openWire(port: number): Wire {
  let socket: Socket<undefined> | undefined;
  let waiting: Waiting | undefined;
  let received = '';

  function answer(told: WireAnswer): void {
    const resolve = waiting;
    waiting = undefined;
    resolve?.(told);
  }

  function onData(bytes: Uint8Array): void {
    received += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
    const read = readAnswer(received);
    if (read === null) return;
    const head = received.slice(0, received.indexOf('\r\n\r\n'));
    received = received.slice(read.length);
    answer({ status: read.status, head, body: read.body });
  }

  function onClose(): void {
    socket = undefined;
    received = '';
    answer(silence);
  }

  async function connect(): Promise<Socket<undefined> | undefined> {
    try {
      const handlers = { data: (_socket: unknown, bytes: Uint8Array) => onData(bytes), close: onClose, error: onClose };
      return await Bun.connect({ hostname: '127.0.0.1', port, socket: handlers });
    } catch {
      return undefined;
    }
  }

  return {
    async ask(request) {
      socket ??= await connect();
      const open = socket;
      if (open === undefined) return silence;
      return new Promise((resolve) => {
        waiting = resolve;
        open.write(Buffer.from(request, 'latin1'));
      });
    },
    close: () => void socket?.end(),
  };
}
