"""Texts that strangers may put into ids, payloads, errors, log lines and names. `CANARY` is an
address that nothing may ever ask for.
"""

from __future__ import annotations

from typing import Final

CANARY: Final = "http://canary.invalid/"

_SAY = "alert(1)"
_ASK = f"fetch('{CANARY}')"

HOSTILE: Final = (
    f"<script>{_SAY}</script>",
    f"<script src={CANARY}x.js></script>",
    f"<SCRIPT>{_ASK}</SCRIPT>",
    f"</script><script>{_SAY}</script>",
    f"<scr<script>ipt>{_SAY}</script>",
    f"<img src=x onerror={_SAY}>",
    f'"><img src={CANARY}a.png onerror="{_ASK}">',
    f"<svg onload={_SAY}>",
    f"<svg><script>{_ASK}</script></svg>",
    f"<svg><animate onbegin={_SAY} attributeName=x dur=1s>",
    f"<svg><a xlink:href='javascript:{_SAY}'><text>x</text></a></svg>",
    f"<svg><use href='{CANARY}x.svg#a'/></svg>",
    f"<math><mi xlink:href='javascript:{_SAY}'>x</mi></math>",
    f"<math><style><img src onerror={_SAY}></style></math>",
    f"<iframe src='javascript:{_SAY}'></iframe>",
    f"<iframe srcdoc='<script>{_SAY}</script>'></iframe>",
    f"<iframe src={CANARY}></iframe>",
    f"<object data={CANARY}></object>",
    f"<embed src={CANARY}>",
    f"<link rel=stylesheet href={CANARY}a.css>",
    f"<style>@import '{CANARY}b.css'; * {{display:none}}</style>",
    f"<meta http-equiv=refresh content='0;url={CANARY}'>",
    f"<base href={CANARY}>",
    f"<form action={CANARY}><button>Cancel</button></form>",
    f"<a href='javascript:{_SAY}'>click</a>",
    f"javascript:{_SAY}",
    f"<a href='&#106;avascript:{_SAY}'>click</a>",
    f"<body onload={_SAY}>",
    f"<details open ontoggle={_SAY}>",
    f"<video><source onerror={_SAY}></video>",
    f"<audio src={CANARY}a.mp3 autoplay>",
    f"<input autofocus onfocus={_SAY}>",
    f"<marquee onstart={_SAY}>x</marquee>",
    f"<template><img src=x onerror={_SAY}></template>",
    f"<noscript><p title='</noscript><img src=x onerror={_SAY}>'>",
    f"<textarea></textarea><img src=x onerror={_SAY}>",
    f"<!--><img src=x onerror={_SAY}>-->",
    f"<![CDATA[<img src=x onerror={_SAY}>]]>",
    f"<?xml-stylesheet href='{CANARY}c.css'?>",
    "<div id=jupyter-config-data>{}</div>",
    "<img name=getElementById><form id=body></form>",
    f"' onmouseover='{_SAY}' x='",
    f'" style="background:url({CANARY}d.png)" x="',
    f"{{{{ 7*7 }}}}{{% for x in ().__class__.__base__.__subclasses__() %}}{_SAY}{{% endfor %}}",
    "\x1b]8;;http://canary.invalid/\x07link\x1b]8;;\x07\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07\x1b[1;1H\x08\x08\x7f\x00\x9b31m",
    "\u202egnp.exe\u202c \u2066hidden\u2069 \u200fmirror",
    "a\u200bb\ufeffc\u2028d\u2029e\x85f",
    "\ud800 half a pair \udfff",
    f"&lt;script&gt;{_SAY}&lt;/script&gt; &#60;img src=x onerror={_SAY}&#62;",
)
