import { testPassword } from '../support/users.ts';
import * as doors from './history/doors.ts';
import { checkingDoors, type CredentialKind, loginDoors, loginKinds } from './history/doors.ts';
import type { DoorName } from './history/history.ts';
import { type Sample, timed } from './probe.ts';

/** A session as its client has it. */
export type Held = { readonly kind: CredentialKind; readonly secret: string };

export const agent = 'fault';

/** Signs a player in so many times, at every way in by turns. @throws Error when that does not work */
export async function openSessions(url: string, login: string, count: number): Promise<Held[]> {
  const held: Held[] = [];
  for (let index = 0; index < count; index += 1) held.push(await openSession(url, login, index));
  return held;
}

async function openSession(url: string, login: string, index: number): Promise<Held> {
  const door = loginDoors[index % loginDoors.length] ?? 'rest';
  for (let tries = 1; ; tries += 1) {
    const { status, secret = '' } = await doors.logIn({ url, agent }, door, login, testPassword);
    if (status === 200) return { kind: loginKinds[door], secret };
    // The hash lane may be full.
    if (status !== 503 || tries === 50) throw new Error(`signing in at ${door} was answered with ${status}`);
    await Bun.sleep(100);
  }
}

/** Presents each at every door where its kind counts. */
export async function presentAll(url: string, all: readonly Held[]): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const { kind, secret } of all) {
    for (const door of checkingDoors[kind]) samples.push(await present(url, door, { kind, secret }));
  }
  return samples;
}

function present(url: string, door: DoorName, { kind, secret }: Held): Promise<Sample> {
  return timed(async () => (await doors.check({ url, agent }, door, kind, secret)).status);
}

/** Presents all of them at every door again and again until stopped. */
export function presentWithoutPause(url: string, all: readonly Held[]) {
  const samples: Sample[] = [];
  let isOver = false;
  const asking = (async () => {
    while (!isOver) samples.push(...(await presentAll(url, all)));
  })();
  return {
    samples,
    stop: () => {
      isOver = true;
      return asking;
    },
  };
}
