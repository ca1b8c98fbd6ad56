import { expect, test } from 'bun:test';
import { createRemoteClock } from './clock.ts';

/** A machine and a far one, each with its own idea of the time; a question takes `wayMs` there and `wayMs` back. */
function createMachines(remoteMs: number, wallMs: number) {
  const machine = { steady: 0, wallAhead: 0, remoteAhead: 0, wayMs: 0, told: [] as number[] };
  const clock = createRemoteClock({
    read: async () => {
      machine.steady += machine.wayMs;
      const answer = remoteMs + machine.remoteAhead + machine.steady;
      machine.steady += machine.wayMs;
      return answer;
    },
    steadyMs: () => machine.steady,
    wallMs: () => wallMs + machine.wallAhead + machine.steady,
    reportFar: (seconds) => machine.told.push(seconds),
  });
  return { machine, clock };
}

test('F13: it shows the other machine’s time, half the way of the answer included', async () => {
  const { machine, clock } = createMachines(1_000_000, 910_000);
  machine.wayMs = 40;
  await clock.set();
  expect(clock.now()).toBe(1_000_080);
  // The store takes whole numbers only.
  machine.steady += 5_000.7;
  expect(clock.now()).toBe(1_005_080);
});

test('F11: a jump of the machine’s own clock does not move it', async () => {
  const { machine, clock } = createMachines(1_000_000, 1_000_000);
  await clock.set();
  machine.wallAhead = 3 * 86_400_000;
  expect(clock.now()).toBe(1_000_000);
  await clock.set();
  expect(clock.now()).toBe(1_000_000);
});

test('F13: a slow answer that fits moves nothing; one that does not fit does', async () => {
  const { machine, clock } = createMachines(1_000_000, 1_000_000);
  await clock.set();
  machine.wayMs = 400;
  machine.remoteAhead = 300;
  await clock.set();
  expect(clock.now()).toBe(1_000_800);
  machine.remoteAhead = 5_000;
  await clock.set();
  expect(clock.now()).toBe(1_006_600);
});

test('F13: more than a minute of difference is told once per change', async () => {
  const { machine, clock } = createMachines(1_090_000, 1_000_000);
  await clock.set();
  await clock.set();
  machine.wallAhead = -10_000;
  await clock.set();
  expect(machine.told).toEqual([90]);
  machine.wallAhead = 90_000;
  await clock.set();
  machine.wallAhead = 180_000;
  await clock.set();
  expect(machine.told).toEqual([90, -90]);
});
