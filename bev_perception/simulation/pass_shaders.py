# SPDX-License-Identifier: Apache-2.0
"""GLSL of the passes around the shaded ones: shadow map, silhouettes, edges and noise."""

from __future__ import annotations

from bev_perception.simulation.program import ShaderPair
from bev_perception.simulation.shaders import HEADER

BLOB_PROGRAM = ShaderPair(
    vertex=HEADER
    + """
uniform mat4 offset_T_object;
uniform vec3 half_size;
in vec2 in_position;
out vec2 v_place;
flat out vec2 v_half;
void main() {
    v_half = half_size.xy;
    v_place = in_position * (half_size.xy + 0.45);
    vec3 offset = (offset_T_object * vec4(v_place, -half_size.z + 0.03, 1.0)).xyz;
    gl_Position = clip_T_offset * vec4(offset, 1.0);
}
""",
    fragment="""#version 330
uniform float strength;
in vec2 v_place;
flat in vec2 v_half;
layout(location = 0) out vec4 out_color;
void main() {
    vec2 outside = (abs(v_place) - v_half) / 0.45 + 0.35;
    float reach = 1.0 - clamp(length(max(outside, 0.0)) / 1.35, 0.0, 1.0);
    out_color = vec4(0.0, 0.0, 0.0, strength * reach * reach * (3.0 - 2.0 * reach));
}
""",
)
"""Darkens the ground below vehicles, where little sky light arrives."""

DEPTH_PROGRAM = ShaderPair(
    vertex="""#version 330
uniform mat4 clip_T_mesh;
in vec3 in_position;
void main() { gl_Position = clip_T_mesh * vec4(in_position, 1.0); }
""",
    fragment="#version 330\nvoid main() {}\n",
)

SILHOUETTE_PROGRAM = ShaderPair(
    vertex="""#version 330
uniform mat4 clip_T_offset;
uniform mat4 offset_T_object;
in vec3 in_position;
void main() {
    vec3 offset = (offset_T_object * vec4(in_position, 1.0)).xyz;
    gl_Position = clip_T_offset * vec4(offset, 1.0);
}
""",
    fragment="""#version 330
out vec4 out_color;
void main() { out_color = vec4(1.0); }
""",
)

POST_PROGRAM = ShaderPair(
    vertex="""#version 400
void main() {
    vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
    gl_Position = vec4(corner, 0.0, 1.0);
}
""",
    fragment="""#version 400
uniform sampler2D image;
uniform sampler2D noise;
uniform vec2 texel;
uniform vec3 noise_place;
out vec4 out_color;

float luma(vec2 place) { return textureLod(image, place, 0.0).a; }

// How many pixels an edge runs on from its middle, and how far the luma there is off.
// A gather brings both sides of the edge at two steps.
float reach(vec2 middle, vec2 along, bool is_flat, bool ahead, float level, float slope,
            out float offset) {
    vec4 near = textureGather(image, middle + 1.5 * along, 3);
    vec4 far = textureGather(image, middle + 3.5 * along, 3);
    vec4 low = is_flat ? vec4(near.w + near.x, far.w + far.x, near.y + near.z, far.y + far.z)
                       : vec4(near.w + near.z, far.w + far.z, near.x + near.y, far.x + far.y);
    vec4 steps = 0.5 * (ahead ? low.xzyw : low.zxwy) - level;
    bvec4 ends = greaterThanEqual(abs(steps), vec4(slope));
    offset = ends.x ? steps.x : ends.y ? steps.y : ends.z ? steps.z : steps.w;
    return ends.x ? 1.0 : ends.y ? 2.0 : ends.z ? 3.0 : ends.w ? 4.0 : 5.5;
}

vec2 edge_shift(vec2 uv, float m, float n, float s, float w, float e, float nw, float se,
                float range) {
    float ne = luma(uv + vec2(texel.x, -texel.y)), sw = luma(uv + vec2(-texel.x, texel.y));
    float mean = (2.0 * (n + s + w + e) + nw + ne + sw + se) / 12.0;
    float thin = smoothstep(0.0, 1.0, clamp(abs(mean - m) / range, 0.0, 1.0));
    float flat_ = 2.0 * abs(n + s - 2.0 * m) + abs(ne + se - 2.0 * e) + abs(nw + sw - 2.0 * w);
    float steep = 2.0 * abs(e + w - 2.0 * m) + abs(ne + nw - 2.0 * n) + abs(se + sw - 2.0 * s);
    bool is_flat = flat_ >= steep;
    float before = is_flat ? n : w, after = is_flat ? s : e;
    float side = abs(before - m) > abs(after - m) ? -1.0 : 1.0;
    float beyond = side < 0.0 ? before : after;
    vec2 across = is_flat ? vec2(0.0, texel.y * side) : vec2(texel.x * side, 0.0);
    vec2 along = is_flat ? vec2(texel.x, 0.0) : vec2(0.0, texel.y);
    float level = 0.5 * (m + beyond), slope = 0.25 * abs(beyond - m);
    float end_plus, end_minus;
    vec2 middle = uv + 0.5 * across;
    float plus = reach(middle, along, is_flat, true, level, slope, end_plus);
    float minus = reach(middle, -along, is_flat, false, level, slope, end_minus);
    float nearest_end = plus < minus ? end_plus : end_minus;
    bool bends_here = (nearest_end > 0.0) != (m > level);
    float share = bends_here ? 0.5 - min(plus, minus) / (plus + minus) : 0.0;
    return across * max(share, 0.75 * thin * thin);
}

void main() {
    vec2 uv = gl_FragCoord.xy * texel;
    vec4 q = textureGather(image, uv - 0.5 * texel, 3);
    vec4 r = textureGather(image, uv + 0.5 * texel, 3);
    float nw = q.w, n = q.z, w = q.x, m = q.y, s = r.x, e = r.z, se = r.y;
    float lo = min(m, min(min(n, s), min(w, e))), hi = max(m, max(max(n, s), max(w, e)));
    float is_edge = step(max(0.05, hi * 0.12), hi - lo);
    vec2 shift = is_edge * edge_shift(uv, m, n, s, w, e, nw, se, hi - lo + 1e-5);
    vec3 color = textureLod(image, uv + shift, 0.0).rgb;
    vec3 grain = texelFetch(noise, ivec2(gl_FragCoord.xy + noise_place.xy) & 511, 0).rgb;
    out_color = vec4(color + grain * noise_place.z, 1.0);
}
""",
)
"""Smooths edges along their direction (FXAA) and adds sensor noise."""
