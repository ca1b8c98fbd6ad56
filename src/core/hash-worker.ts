/**
 * The child's side of the hash lane: one job at a time, in the order they come. It runs the synchronous calls on purpose, because Bun's
 * thread pool would let many hashes loose at once (reliability.md, 2.4).
 */

/** What the lane asks of a child. `memoryKib` in KiB; `stored` has been parsed and priced by the lane already. */
export type HashRequest =
  | { readonly kind: 'hash'; readonly password: string; readonly memoryKib: number; readonly passes: number }
  | { readonly kind: 'verify'; readonly password: string; readonly stored: string };

/** What a child says: that it takes work, a job's result (a PHC string or a verdict), or that a hash could not be made. */
export type HashReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly value: string }
  | { readonly kind: 'failed' };

export type Verdict = 'match' | 'mismatch' | 'damaged';

// A terminal's Ctrl-C and a service manager's TERM reach the whole group; the parent drains first and then ends its children itself.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('disconnect', () => process.exit(0));
process.on('message', (request: HashRequest) => reply(answer(request)));
reply({ kind: 'ready' });

function reply(message: HashReply): void {
  process.send?.(message);
}

function answer(request: HashRequest): HashReply {
  if (request.kind === 'verify') return { kind: 'done', value: verdict(request.password, request.stored) };
  try {
    return { kind: 'done', value: hash(request.password, request.memoryKib, request.passes) };
  } catch {
    // The error's text stays here: it could quote what it was given.
    return { kind: 'failed' };
  }
}

function hash(password: string, memoryKib: number, passes: number): string {
  return Bun.password.hashSync(password, { algorithm: 'argon2id', memoryCost: memoryKib, timeCost: passes });
}

function verdict(password: string, stored: string): Verdict {
  try {
    return Bun.password.verifySync(password, stored) ? 'match' : 'mismatch';
  } catch {
    return 'damaged';
  }
}
