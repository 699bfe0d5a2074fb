# SPDX-License-Identifier: Apache-2.0
"""GLSL programs of the renderer.

One program per material: llvmpipe executes both sides of a branch, so a single program
with a switch would pay for all textures on every pixel. Positions are relative to the
camera, so that a town hundreds of metres wide keeps single precision exact enough.
"""

from __future__ import annotations

from bev_perception.simulation.program import ShaderPair
from bev_perception.simulation.scene import Material

FRAME_FIELDS = (
    ("clip_T_offset", 16),
    ("shadow_T_offset", 16),
    ("map_R_pixel", 16),
    ("camera_position", 4),
    ("sun_direction", 4),
    ("sun_color", 4),
    ("sky_ambient", 4),
    ("ground_ambient", 4),
    ("horizon_color", 4),
    ("zenith_color", 4),
    ("camera_gain", 4),
    ("air", 4),
    ("ego", 4),
)
"""Members of the per-camera uniform block and their float counts. ``air`` holds fog
density, shadow strength, cloud share and shadow radius; ``ego`` the ego vehicle's offset."""

_FRAME_BLOCK = (
    "layout(std140) uniform Frame {\n"
    + "".join(f"    {'mat4' if count == 16 else 'vec4'} {name};\n" for name, count in FRAME_FIELDS)
    + "};\n"
)

HEADER = "#version 330\n" + _FRAME_BLOCK
"""Start of every shader that knows the camera."""

_SHADING = """
uniform sampler2DShadow shadow_map;
uniform sampler2D surface;
in vec3 v_offset;
in vec3 v_color;
in vec3 v_ambient;
in float v_sun;
layout(location = 0) out vec4 out_color;
layout(location = 1) out uint out_id;
layout(location = 2) out float out_depth;

float sunlight() {
    vec3 s = (shadow_T_offset * vec4(v_offset, 1.0)).xyz;
    const float r = 0.85 / SHADOW_SIZE;
    float lit = texture(shadow_map, s + vec3(-r, -0.4 * r, 0.0))
              + texture(shadow_map, s + vec3(0.4 * r, -r, 0.0))
              + texture(shadow_map, s + vec3(r, 0.4 * r, 0.0))
              + texture(shadow_map, s + vec3(-0.4 * r, r, 0.0));
    vec2 from_ego = v_offset.xy - ego.xy;
    float far = clamp(dot(from_ego, from_ego) * air.w * air.w * 4.0 - 3.0, 0.0, 1.0);
    return mix(0.25 * lit, 1.0, far);
}

vec3 encode(vec3 linear) {
    vec3 x = linear * camera_gain.rgb;
    x = x * (1.0 + x * 0.12) / (1.0 + x * 0.62);
    vec3 a = sqrt(clamp(x, 0.0, 1.0)), b = sqrt(a), c = sqrt(b);
    return clamp(0.662002687 * a + 0.684122060 * b - 0.323583601 * c - 0.0225411470 * x, 0.0, 1.0);
}

void emit(vec3 light, uint id) {
    float distance = length(v_offset);
    vec3 hazed = mix(horizon_color.rgb, light, exp2(-air.x * distance));
    vec3 color = encode(hazed);
    out_color = vec4(color, dot(color, vec3(0.299, 0.587, 0.114)));
    out_id = id;
    out_depth = 1.0 / gl_FragCoord.w;
}

vec3 sky(vec3 direction) {
    float up = clamp(direction.z, 0.0, 1.0);
    vec3 color = mix(horizon_color.rgb, zenith_color.rgb, sqrt(up) * (1.3 - 0.3 * up));
    float toward_sun = clamp(dot(direction, sun_direction.xyz), 0.0, 1.0);
    float glow = toward_sun * toward_sun;
    glow *= glow;
    return color + sun_color.rgb * (0.05 * glow + 0.25 * glow * glow * glow * glow);
}
"""

_STATIC_VERTEX = (
    HEADER
    + """
in vec3 in_position;
in vec3 in_normal;
in vec3 in_color;
out vec3 v_offset;
out vec3 v_color;
out vec3 v_ambient;
out float v_sun;
flat out vec3 v_normal;
void main() {
    v_offset = in_position - camera_position.xyz;
    v_color = in_color;
    v_normal = in_normal;
    v_ambient = mix(ground_ambient.rgb, sky_ambient.rgb, 0.5 + 0.5 * in_normal.z);
    v_sun = WRAP(dot(in_normal, sun_direction.xyz));
    gl_Position = clip_T_offset * vec4(v_offset, 1.0);
}
"""
)

_OBJECT_VERTEX = (
    HEADER
    + """
uniform mat4 offset_T_object;
uniform vec3 paint;
in vec3 in_position;
in vec3 in_normal;
in vec3 in_color;
in float in_material;
out vec3 v_offset;
out vec3 v_color;
out vec3 v_ambient;
out float v_sun;
out vec3 v_normal;
flat out vec3 v_kind;
void main() {
    v_offset = (offset_T_object * vec4(in_position, 1.0)).xyz;
    v_normal = mat3(offset_T_object) * in_normal;
    v_kind = vec3(in_material == PAINT, in_material == GLASS, in_material == LIGHT);
    v_color = in_color * mix(vec3(1.0), paint, v_kind.x);
    v_ambient = mix(ground_ambient.rgb, sky_ambient.rgb, 0.5 + 0.5 * v_normal.z);
    v_sun = max(dot(v_normal, sun_direction.xyz), 0.0);
    gl_Position = clip_T_offset * vec4(v_offset, 1.0);
}
"""
)

_OBJECT_FRAGMENT = """
uniform uint object_id;
uniform float gloss;
in vec3 v_normal;
flat in vec3 v_kind;
void main() {
    vec3 normal = normalize(v_normal);
    vec3 view = normalize(v_offset);
    vec3 mirrored = reflect(view, normal);
    float edge = 1.0 + dot(view, normal);
    float fresnel = 0.04 + 0.96 * edge * edge * edge * edge;
    float shine = gloss * fresnel * (0.7 * v_kind.x + 1.6 * v_kind.y);
    float lit = sunlight();
    vec3 around = mirrored.z > 0.0 ? sky(mirrored) : ground_ambient.rgb;
    float spark = clamp(dot(mirrored, sun_direction.xyz), 0.0, 1.0);
    spark *= spark; spark *= spark; spark *= spark; spark *= spark; spark *= spark;
    vec3 light = v_color * (v_ambient + sun_color.rgb * v_sun * lit) + v_color * 0.5 * v_kind.z;
    light += around * shine + sun_color.rgb * (spark * lit * gloss * (0.5 * v_kind.x + v_kind.y));
    emit(light, object_id);
}
"""

_SURFACES = {
    "plain": """
vec3 albedo() { return v_color; }
""",
    "asphalt": """
vec3 albedo() {
    vec2 p = v_offset.xy + camera_position.xy;
    vec3 fine = texture(surface, p * 0.31, -1.0).rgb;
    vec2 coarse = texture(surface, p.yx * 0.037, -1.0).gb;
    float grain = 0.62 + 0.42 * fine.r + 0.16 * fine.g;
    return v_color * grain * (0.62 + 0.46 * coarse.x + 0.30 * coarse.y);
}
""",
    "pavement": """
vec3 albedo() {
    vec2 p = v_offset.xy + camera_position.xy;
    vec4 stone = texture(surface, p * 0.25, -0.7);
    float coarse = texture(surface, p.yx * 0.03, -1.0).g;
    return v_color * stone.a * (0.80 + 0.22 * stone.r) * (0.85 + 0.36 * coarse);
}
""",
    "grass": """
vec3 albedo() {
    vec2 p = v_offset.xy + camera_position.xy;
    vec3 blade = texture(surface, p * 0.23, -1.0).rgb;
    vec2 patch_ = texture(surface, p.yx * 0.021, -1.0).gb;
    vec3 dry = vec3(1.25, 1.05, 0.75);
    return v_color * mix(vec3(1.0), dry, patch_.y * 0.6) * (0.45 + 0.62 * blade.r + 0.42 * blade.g)
        * (0.70 + 0.5 * patch_.x);
}
""",
    "marking": """
vec3 albedo() {
    vec2 p = v_offset.xy + camera_position.xy;
    vec2 worn = texture(surface, p * 0.19, -1.0).rg;
    return v_color * (0.78 + 0.16 * worn.x + 0.26 * worn.y);
}
""",
    "foliage": """
vec3 albedo() {
    vec3 p = v_offset + camera_position.xyz;
    vec2 leaf = texture(surface, (p.xy + p.z * vec2(0.83, -0.71)) * 0.33, -1.0).rg;
    vec2 tuft = texture(surface, (p.yx + p.z * vec2(-0.6, 0.9)) * 0.09, -1.0).gb;
    float dapple = clamp(0.25 + 0.75 * leaf.x * 2.0 * tuft.x * 1.4, 0.2, 1.8);
    return v_color * dapple * mix(vec3(0.9, 1.0, 0.9), vec3(1.25, 1.1, 0.7), tuft.y * 0.6);
}
""",
    "facade": """
uniform sampler2DArray facades;
vec3 albedo() {
    vec3 p = v_offset + camera_position.xyz;
    float along = dot(p.xy, vec2(-v_normal.y, v_normal.x));
    float pick = fract(dot(floor(v_color * 255.0 + 0.5), vec3(0.917, 0.473, 0.731)));
    vec2 bay = vec2(along / (2.6 + 1.2 * fract(pick * 7.0)), p.z / 3.0);
    vec4 wall = texture(facades, vec3(bay, floor(pick * 4.0)), -0.5);
    float dirt = texture(surface, vec2(along, p.z) * 0.05, -1.0).g;
    vec2 cell = floor(bay);
    float room = fract(sin(dot(cell, vec2(12.9898, 78.233)) + pick * 50.0) * 43758.5453);
    float is_wall = step(abs(v_normal.z), 0.5);
    vec3 plain = v_color * (0.82 + 0.36 * dirt);
    vec3 trim = mix(v_color, vec3(0.62), 0.65 * wall.a);
    vec3 solid = trim * (0.82 + 0.36 * dirt) * wall.g * 1.275;
    vec3 view = normalize(v_offset);
    vec3 mirrored = vec3(view.xy - 2.0 * dot(view.xy, v_normal.xy) * v_normal.xy, abs(view.z));
    vec3 curtain = mix(vec3(0.02, 0.025, 0.03), vec3(0.22, 0.20, 0.17), step(0.7, room));
    vec3 glass = curtain + sky_ambient.rgb * (0.08 + 0.10 * wall.b + 0.08 * room);
    return mix(plain, mix(solid, glass, wall.r), is_wall);
}
""",
    "glass": """
vec3 albedo() {
    vec3 view = normalize(v_offset);
    float edge = 1.0 + dot(view, v_normal);
    return v_color * 0.5 + sky_ambient.rgb * (0.10 + 0.6 * edge * edge * edge);
}
""",
    "light": """
vec3 albedo() { return v_color * 1.4; }
""",
}

SURFACE_OF = {
    Material.PLAIN: "plain",
    Material.ASPHALT: "asphalt",
    Material.PAVEMENT: "pavement",
    Material.GRASS: "grass",
    Material.MARKING: "marking",
    Material.FACADE: "facade",
    Material.GLASS: "glass",
    Material.FOLIAGE: "foliage",
    Material.PAINT: "plain",
    Material.LIGHT: "light",
}

_STATIC_MAIN = """
void main() {
    emit(albedo() * (v_ambient + sun_color.rgb * v_sun * sunlight()), 0u);
}
"""


def static_program(surface: str, shadow_size: int) -> ShaderPair:
    """Vertex and fragment shader of static surfaces of one kind."""
    wrap = "max(x * 0.75 + 0.25, 0.0)" if surface == "foliage" else "max(x, 0.0)"
    vertex = _STATIC_VERTEX.replace(
        "void main", f"float WRAP(float x) {{ return {wrap}; }}\nvoid main"
    )
    shading = _SHADING.replace("SHADOW_SIZE", f"{shadow_size}.0")
    normal = "flat in vec3 v_normal;\n" if surface in ("facade", "glass") else ""
    if surface == "facade":
        vertex = vertex.replace("out vec3 v_color", "flat out vec3 v_color")
        shading = shading.replace("in vec3 v_color", "flat in vec3 v_color")
    return ShaderPair(vertex, HEADER + shading + normal + _SURFACES[surface] + _STATIC_MAIN)


def object_program(shadow_size: int) -> ShaderPair:
    """Shaders of vehicles and people."""
    vertex = _OBJECT_VERTEX
    for material in (Material.PAINT, Material.GLASS, Material.LIGHT):
        vertex = vertex.replace(f"== {material.name}", f"== {material.value}.0")
    shading = _SHADING.replace("SHADOW_SIZE", f"{shadow_size}.0")
    return ShaderPair(vertex, HEADER + shading + _OBJECT_FRAGMENT)


def sky_program(shadow_size: int) -> ShaderPair:
    """Fills what nothing covers: id 0, depth infinite."""
    fragment = """
    void main() {
        vec3 direction = normalize(mat3(map_R_pixel) * vec3(gl_FragCoord.xy, 1.0));
        vec3 color = sky(direction);
        vec2 plane = direction.xy / max(direction.z + 0.08, 0.05);
        float cover = texture(surface, plane * 0.035 + 0.37).b * 0.75
                    + texture(surface, plane * 0.11).g * 0.25;
        float cloud = clamp((cover - 1.0 + air.z) * 3.5, 0.0, 0.85);
        cloud *= clamp(direction.z * 6.0, 0.0, 1.0);
        vec3 white = horizon_color.rgb * 0.55 + sky_ambient.rgb * 0.25 + sun_color.rgb * 0.12;
        color = mix(color, white, cloud);
        float haze = clamp(air.x * 260.0 * (1.0 - direction.z * 2.0), 0.0, 1.0);
        color = mix(color, horizon_color.rgb, haze);
        vec3 encoded = encode(color);
        out_color = vec4(encoded, dot(encoded, vec3(0.299, 0.587, 0.114)));
        out_id = 0u;
        out_depth = uintBitsToFloat(0x7F800000u);
    }
    """
    vertex = """
    void main() {
        vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
        gl_Position = vec4(corner, 1.0, 1.0);
    }
    """
    shading = _SHADING.replace("SHADOW_SIZE", f"{shadow_size}.0")
    for name in ("vec3 v_offset", "vec3 v_color", "vec3 v_ambient", "float v_sun"):
        shading = shading.replace(f"in {name};", f"const {name} = {name.split()[0]}(0.0);")
    extension = "#version 330\n#extension GL_ARB_shader_bit_encoding : enable\n"
    return ShaderPair("#version 330\n" + vertex, extension + _FRAME_BLOCK + shading + fragment)
