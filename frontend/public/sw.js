// The part of the page that is there when no page is open: it shows messages that were pushed, leads to their alert,
// subscribes anew when the browser changed its subscription, and says so when the watcher is away.
// It keeps no prices: what is not fresh is not shown.

const ALONE = "alone-1";
/** What is shown while the watcher does not answer. */
const SHELL = ["offline.html", "offline.css", "offline.js", "theme.js", "icon.svg"].map((name) => `/static/${name}`);
/** Where lib/push.svelte.ts keeps {name, endpoint}: which channel this browser is. */
const KEPT = "push";
const MINE = "/kept/channel";

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(ALONE).then((cache) => cache.addAll(SHELL)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name !== ALONE && name !== KEPT) await caches.delete(name);
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  if (event.request.mode === "navigate") event.respondWith(fetch(event.request).catch(() => alone(SHELL[0])));
  else if (SHELL.includes(pathname)) event.respondWith(fetch(event.request).catch(() => alone(pathname)));
});

async function alone(path) {
  return (await caches.match(path)) ?? Response.error();
}

self.addEventListener("push", (event) => event.waitUntil(show(event.data)));

async function show(data) {
  let told = {};
  try {
    told = data.json();
  } catch {
    // A browser wants something to be shown for every push, also for one that cannot be read.
  }
  const { title = "cryptowatcher", body = "There is something new.", tag, path = "/alerts", at } = told;
  await self.registration.showNotification(title, {
    body,
    tag,
    timestamp: at,
    icon: "/static/icon-192.png",
    badge: "/static/badge.png",
    data: { path },
  });
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(lead(event.notification.data?.path ?? "/"));
});

/** To a page that is open, else to a new one. */
async function lead(path) {
  const there = new URL(path, self.location.origin);
  if (there.origin !== self.location.origin) return;
  const open = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = open.find((each) => each.visibilityState === "visible") ?? open[0];
  if (!page) return void (await self.clients.openWindow(there));
  page.postMessage({ go: there.pathname });
  // A system may keep its windows where they are; the page has turned to the alert all the same.
  await page.focus().catch(() => undefined);
}

self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew()));
// Not all browsers tell of a change: the page asks at each start.
self.addEventListener("message", (event) => event.data?.renew && event.waitUntil(renew()));

async function renew() {
  const cache = await caches.open(KEPT);
  const mine = await (await cache.match(MINE))?.json();
  if (!mine || (await self.registration.pushManager.permissionState({ userVisibleOnly: true })) !== "granted") return;
  const channels = (await asked("/api/v1/channels"))?.items;
  const channel = channels?.find(({ name, kind }) => name === mine.name && kind === "webpush");
  if (!channel) return; // nobody is logged in, or it was removed
  const subscription = (await self.registration.pushManager.getSubscription()) ?? (await subscribed());
  if (!subscription || subscription.endpoint === mine.endpoint) return;
  const { endpoint, keys } = subscription.toJSON();
  const body = JSON.stringify({ kind: "webpush", settings: channel.settings, secrets: { endpoint, ...keys } });
  const url = `/api/v1/channels/${encodeURIComponent(mine.name)}`;
  const answer = await fetch(url, { method: "PUT", body, headers: { "content-type": "application/json" } });
  if (answer.ok) await cache.put(MINE, new Response(JSON.stringify({ name: mine.name, endpoint })));
}

async function subscribed() {
  const answer = await asked("/api/v1/push/key");
  return answer && self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: answer.key });
}

/** Undefined when nothing is answered. */
async function asked(url) {
  try {
    const answer = await fetch(url);
    return answer.ok ? await answer.json() : undefined;
  } catch {
    return undefined;
  }
}
