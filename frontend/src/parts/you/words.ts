import { Problem } from "../../api/client";
import type { TokenAnswer } from "../../api/schema";
import { notices } from "../../lib/notices.svelte";

export type Role = TokenAnswer["role"];

export const ROLES: readonly (readonly [Role, string])[] = [
  ["viewer", "viewer: looks"],
  ["user", "user: has rules and lists"],
  ["admin", "admin: also manages people"],
];

/** Those that include no more than this one. */
export const upTo = (role: Role) => ROLES.slice(0, ROLES.findIndex(([each]) => each === role) + 1);

export const DAYS = [["7", "7 days"], ["30", "30 days"], ["90", "90 days"], ["365", "a year"]] as const;

/** Do something; what it fails with is said in the corner. */
export async function tried(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    notices.complain(error.said);
    return false;
  }
}
