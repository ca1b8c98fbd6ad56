import { expect, test } from 'bun:test';
import { createFailoverGuard } from './failover.ts';
import { StoreError } from './errors.ts';

/** A guard that has begun, and the looks at servers that wait for an answer of the test. */
async function startGuard() {
  const guard = createFailoverGuard();
  const looks: PromiseWithResolvers<string>[] = [];
  const beginning = guard.begin(() => {
    const look = Promise.withResolvers<string>();
    looks.push(look);
    return look.promise;
  });
  looks[0]?.resolve('first');
  await beginning;
  return { guard, looks };
}

const outcome = (work: Promise<void>): Promise<string> =>
  work.then(
    () => 'counts',
    (error: unknown) => (error instanceof StoreError ? error.word : 'fault'),
  );

test('P7: before it begins connections make nobody suspect', () => {
  const guard = createFailoverGuard();
  guard.suspect();
  expect(guard.counts(guard.era())).toBe(true);
});

test('P7: an answer over a new connection waits until the server is recognised, and counts if it is the same', async () => {
  const { guard, looks } = await startGuard();
  const era = guard.era();
  expect(guard.counts(era)).toBe(true);
  guard.suspect();
  expect(guard.counts(era)).toBe(false);
  const admitted = outcome(guard.admit(era));
  looks[1]?.resolve('first');
  expect(await admitted).toBe('counts');
  expect(guard.counts(era)).toBe(true);
});

test('P7: what was asked before another server took over never counts; what is asked afterwards does', async () => {
  const { guard, looks } = await startGuard();
  const era = guard.era();
  guard.suspect();
  const admitted = outcome(guard.admit(era));
  looks[1]?.resolve('second');
  expect(await admitted).toBe('unavailable');
  expect([guard.counts(era), guard.counts(guard.era())]).toEqual([false, true]);
});

test('P7: a connection that is opened during a look is looked at by another one', async () => {
  const { guard, looks } = await startGuard();
  guard.suspect();
  const admitted = outcome(guard.admit(guard.era()));
  guard.suspect();
  looks[1]?.resolve('first');
  await Bun.sleep(0);
  expect(looks.length).toBe(3);
  looks[2]?.resolve('second');
  expect(await admitted).toBe('unavailable');
});

test('P7: a server that is not recognised leaves the store unavailable until it is; whoever asks looks again', async () => {
  const { guard, looks } = await startGuard();
  const era = guard.era();
  guard.suspect();
  const [one, other] = [outcome(guard.admit(era)), outcome(guard.admit(era))];
  looks[1]?.reject(new Error('a standby'));
  expect(await Promise.all([one, other])).toEqual(['unavailable', 'unavailable']);
  expect(looks.length).toBe(2);
  const next = outcome(guard.admit(era));
  looks[2]?.resolve('first');
  expect(await next).toBe('counts');
});
