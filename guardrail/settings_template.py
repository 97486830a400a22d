"""The ``guardrail.yaml`` that ``guardrail init`` writes: every key with its default, and what it is for."""

from __future__ import annotations

import json

_TEXT = """\
# Settings of crisis-guardrail. Every key can also be set in the environment: GUARDRAIL_ and the key in
# capitals, two underscores for a key inside a key (GUARDRAIL_RESPONDERS__KIND=trained). A variable overrides
# this file, an option of the command line overrides both. Any text here may name a variable: ${NAME}.
# Paths are relative to this file's folder. An unknown key is an error.

upstream: UPSTREAM
                                # the chatbot that answers; its own paths are kept
listen: 127.0.0.1:8080          # where clients connect instead
data: ./data                    # state, cases, journal and generated secrets; one process a folder
policies: [base]                # packs by name, or folders; later ones override earlier ones
require_signed: false           # true: only packs that somebody has signed (guardrail policy sign)
trusted_keys: []                # whose signatures count: clinic.pub, or "ed25519 KEY"; none: anybody's, unnamed
shadow_policies: []             # packs tried beside those in force; the journal says where they differ
mode: enforce                   # or shadow: decide and record, change nothing
unknown_dialect: pass           # or block, for paths that are no chat API we know
moderations: upstream           # or local: POST /v1/moderations is answered here, under the policy (docs/judges.md)

# secret: ${GUARDRAIL_KEY}      # keys the hashes that name conversations; made in data/ when not set
# secret_file: /run/secrets/key # … or read from a file
# admin_token_file: /run/secrets/admin   # for the API and the console; made in data/ when not set
# public_url: https://guardrail.example  # where links in pages and webhooks lead

# --- people
default_locale: en              # the language of replies when nothing tells it
default_country: null           # null: the person is asked, never guessed; or such as DE
timezone: UTC                   # what policies mean by a time of day, such as Europe/Berlin
service_name: ""                # what replies call your service and your bot; empty: this service, this bot
bot_name: ""
responders: {kind: none, hours: "24/7"}
                                # who takes over a conversation: clinical | trained | none (no handing over);
                                # hours as OpenStreetMap writes them, such as "Mo-Fr 08:00-18:00"

# Who is told of a case, until somebody acknowledges it. Without a channel cases are kept and nobody is told.
escalation:
  channels: {}
  #  oncall: {kind: webhook, url: "https://pager.example/hook", secret: "${ONCALL_SECRET}"}
  #                             # signed as Standard Webhooks: echo "whsec_$(openssl rand -base64 32)"
  #  team: {kind: apprise, url_file: /run/secrets/team-url}
  #                             # any of the services Apprise knows: slack://… mailto://…
  ladder: []
  #  - {after: 0s, notify: [oncall]}
  #  - {after: 5m, notify: [oncall, team]}
  ladders: {}
  #  safeguarding:              # for rules that ask for it: case: {deadline: 1h, ladder: safeguarding}
  #    - {after: 0s, notify: [team]}

# --- a chatbot with an API of its own; the usual ones are known without this
json_dialect: []
  # - path: /chat               # exact, or with names: /sessions/{id}/messages
  #   request:                  # places are JSON pointers; only what they lead to counts as the conversation
  #     text: /message          # the person's new words; or messages, where requests bring the history:
  #     # messages: {at: /history, role: /who, text: /text, user: [human], assistant: [bot]}
  #     conversation: /session  # where an API that keeps the history has its id; or path:id
  #     guidance: /instructions # where guidance for the bot may be added; or messages
  #   reply:
  #     text: /answer           # one place or a list, * for every index: /parts/*/text
  #     # stream: {format: sse, text: /delta, done: "[DONE]"}  # or ndjson; done may be {at: /done, is: true}
  #   error: {text: /error}

# --- the model that reads what is meant, beside the lexicon that hears what is said outright
model:
  folder: shipped               # or a folder of your own (docs/model.md); none: no model
  without: refuse               # when it is missing or damaged: refuse to start, or start without it
  deadline: 2s                  # time one turn may take to be read; then the policy's answer to a failure
  threads: 1                    # processor cores that read

# --- further judges, asked beside the model and the lexicon (docs/judges.md). What people say is sent to their servers
judges: {}
  # openai:
  #   kind: moderation          # an endpoint in the shape of OpenAI's
  #   url: https://api.openai.com/v1/moderations
  #   model: omni-moderation-latest
  #   token_file: /run/secrets/openai
  #   when: ambiguous           # always, or only where what the others found leaves a turn open
  #   deadline: 2s              # time one turn may take
  #   required: false           # true: without its answer a turn counts as unread
  #   per_minute: 600           # beyond that it is not asked
  # guard:
  #   kind: chat                # a chat model that judges, by a policy (format: json) or as Llama Guard does
  #   url: http://127.0.0.1:11434/v1/chat/completions
  #   model: llama-guard3:8b
  #   format: llama_guard
  #   signals: {S11: [{signal: suicide, severity: 2}, {signal: encourages_harm, severity: 3}]}
  # mine:
  #   kind: transformers        # pip install 'crisis-guardrail[transformers]'; never downloads
  #   path: ./my-classifier
  #   signals: {LABEL: {signal: suicide, from: 0.5, severity: 2}}

# --- bounds on sizes and times
limits:
  request_body: 16MiB
  reply_body: 16MiB             # one whole reply
  stream_body: 256MiB           # one streamed reply, images and all
  reply_time: 1h                # one reply, from its first byte to its last
  headers: 64KiB                # a request's first line and headers
  header_time: 30s              # time a client has to send them
  client_idle: 120s             # time a client may leave a reply unread
  connections: 10000            # open connections; beyond them idle ones are closed
  messages: 10000               # turns of history in one request
  hold_chars: 200000            # characters of one reply held back at a time
  exchanges: 1000               # chats under way at once; beyond them the chatbot is not asked
  request_body_time: 60s        # time a client has to send its body
  upstream_headers: 60s         # time the chatbot has to begin its answer
  upstream_idle: 120s           # time it may be silent in the middle of one
  keep_alive: 10s               # silence after which a waiting client is shown that the stream lives
  shutdown: 20s                 # time for exchanges under way when the proxy is stopped

log_level: info                 # debug | info | warning | error; logs never hold message text

# --- more than one proxy
redis_url: null                 # redis://HOST:6379/0, rediss://…, redis+sentinel://HOST:26379,HOST:26379/NAME, redis+cluster://HOST:6379
redis_prefix: guardrail         # what the names of its keys begin with

# --- not in this version; any other value is refused
store_text: false
"""


def template(upstream: str) -> str:
    """A commented ``guardrail.yaml`` for a chatbot at ``upstream``; it loads as it is."""
    return _TEXT.replace("UPSTREAM", json.dumps(upstream, ensure_ascii=False), 1)
