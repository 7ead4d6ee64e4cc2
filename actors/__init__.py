"""Calotype's actors: who owns what, and who may ask whom.

```
web ──ask──▶ Dispatcher ──forward──▶ Store ──thread──▶ catalogue (SQLite)
               │    ▲                 ▲  └──thread──▶ blobs (files)
               │    └──claimed jobs───┤
               ▼                      │
            Worker × N ──ask──────────┘
               └──thread──▶ imaging (Pillow)
```

Asks go down, answers go up; no actor asks one above it, so no two can wait for each other.
Start reading at `mailbox` (the mechanism) and `messages` (the vocabulary); `system` wires it all.
"""
