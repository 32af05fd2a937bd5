// What each kind of channel looks like, and how one gets what must be filled in. A kind that is not here has its own
// help from the API and a plain icon.
import type { IconName } from "../Icon.svelte";

interface Look {
  icon: IconName;
  /** One sentence. */
  short: string;
  steps: string[];
}

const LOOKS: Record<string, Look> = {
  ntfy: {
    icon: "phone",
    short: "Push notifications on a phone, without an account.",
    steps: [
      "Install the ntfy app on your phone (or open ntfy.sh in a browser).",
      "Subscribe there to a topic with a name that nobody guesses: whoever knows it can read it.",
      "Enter the same topic here. A server of your own works too.",
    ],
  },
  telegram: {
    icon: "send",
    short: "A bot of your own writes to you.",
    steps: [
      "Write /newbot to @BotFather in Telegram. It gives you a token: enter it here.",
      "Write something to your new bot, so that it may write to you.",
      "Enter the number of your chat under Chats: @userinfobot tells it. Several with commas between.",
      "To command the watcher from the chat too, put the bot into the configuration file and run “cryptowatcher telegram link”.",
    ],
  },
  email: {
    icon: "mail",
    short: "Through a mail server that you have a login for.",
    steps: [
      "Look up at your mail provider the server that takes mail (SMTP) and its port.",
      "Many want a password of its own for programs (an “app password”): make one there.",
    ],
  },
  discord: {
    icon: "chat",
    short: "Into a channel of a Discord server.",
    steps: [
      "Open the settings of the Discord channel: Integrations, Webhooks, New webhook.",
      "Press “Copy webhook URL” and enter it here. Whoever has it can post there.",
    ],
  },
  slack: {
    icon: "hash",
    short: "Into a channel of a Slack workspace.",
    steps: [
      "In Slack’s app settings make an app, switch on “Incoming webhooks” and add one to a channel.",
      "Copy its webhook URL and enter it here. Whoever has it can post there.",
    ],
  },
  webhook: {
    icon: "hook",
    short: "A signed HTTP request to a program of yours.",
    steps: [
      "Enter the address that takes the requests.",
      "With a secret each request is signed (Standard Webhooks), so that your program knows who sends it.",
    ],
  },
  apprise: {
    icon: "puzzle",
    short: "A hundred other services, by Apprise’s addresses.",
    steps: ["Find your service in Apprise’s documentation and write its address, such as gotify://push.example.org/AbCdEf."],
  },
  webpush: { icon: "bell", short: "Notifications of a browser.", steps: [] },
  console: { icon: "terminal", short: "Lines on the terminal of the watcher.", steps: [] },
};

/** Those first that most people want. */
const ORDER = ["ntfy", "telegram", "email", "discord", "slack", "webhook"];

export function inOrder<K extends { name: string }>(kinds: K[]): K[] {
  const place = ({ name }: K) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return kinds.toSorted((a, b) => place(a) - place(b));
}

export function lookOf(kind: string): Look {
  return LOOKS[kind] ?? { icon: "send", short: "", steps: [] };
}
