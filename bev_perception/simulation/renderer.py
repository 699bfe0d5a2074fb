# SPDX-License-Identifier: Apache-2.0
"""Draws what the cameras of a rig see."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import cv2
import moderngl
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import Rig, RigidTransform
from bev_perception.simulation.egl import GlContext
from bev_perception.simulation.lighting import (
    SHADOW_SIZE,
    light_uniforms,
    shadow_clip_T_map,
    shadow_place_T_map,
)
from bev_perception.simulation.object_models import ObjectModels
from bev_perception.simulation.pass_shaders import POST_PROGRAM
from bev_perception.simulation.program import TEXTURE_PLACES, Program
from bev_perception.simulation.scene import Mesh, RenderedSet, Weather, WorldState
from bev_perception.simulation.shaders import FRAME_FIELDS, sky_program
from bev_perception.simulation.static_scene import StaticScene
from bev_perception.simulation.textures import (
    SENSOR_NOISE_SIZE,
    SURFACE_SIZE,
    facade_textures,
    sensor_noise_texture,
    surface_texture,
)
from bev_perception.simulation.view import CameraView, camera_view, clip_T_offset, clip_T_optical
from bev_perception.simulation.visibility import Silhouettes


class Renderer:
    """Renders a town and its objects for all cameras of a rig.

    The same arguments and states give the same bytes in every process. Not for use from
    a second thread.

    Args:
        rig: cameras; distorted ones are drawn ideal and remapped.
        static_mesh: what does not move, in map.
        weather: light, air and sensor.
        seed: of the sensor noise.

    Raises:
        SystemLibraryError: EGL is not installed.
        CalibrationError: a lens is wider than can be drawn.
    """

    def __init__(self, rig: Rig, static_mesh: Mesh, weather: Weather, seed: int = 0) -> None:
        views = [camera_view(name, entry) for name, entry in rig.cameras.items()]
        self.weather = weather
        self._seed = seed
        self._context = GlContext()
        gl = self._context.gl
        self._lights = light_uniforms(weather)
        self._static = StaticScene(gl, static_mesh, SHADOW_SIZE)
        self._objects = ObjectModels(gl, SHADOW_SIZE)
        self._silhouettes = Silhouettes(gl, self._objects)
        self._targets = [_Target(gl, view) for view in views]
        self._textures = _textures(gl, seed)
        self._shadow_map = gl.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self._shadow_map.compare_func = "<="
        self._shadow_map.repeat_x = self._shadow_map.repeat_y = False
        self._shadow_target = gl.framebuffer(depth_attachment=self._shadow_map)
        self._post = Program(gl, POST_PROGRAM)
        sky = Program(gl, sky_program(SHADOW_SIZE))
        self._sky_array = gl.vertex_array(sky.gl_program, [])
        self._post_array = gl.vertex_array(self._post.gl_program, [])

    @property
    def device(self) -> str:
        """Name of what draws: a graphics card or llvmpipe."""
        return self._context.renderer_name

    def render(self, state: WorldState, ids: bool = True, depths: bool = False) -> RenderedSet:
        """All cameras at one moment.

        Raises:
            RuntimeError: called from another thread than the one that made the renderer.
        """
        gl = self._context.gl
        self._textures_in_place()
        shadow_T_map = self._draw_shadows(gl, state)
        # One kind of work for all cameras, then the next: reading what was just drawn would
        # make llvmpipe wait instead of placing the next camera's triangles meanwhile.
        for target in self._targets:
            self._draw_camera(gl, target, state, shadow_T_map, depths)
        for index, target in enumerate(self._targets):
            self._finish_image(gl, target, state, index)
        images, id_images, depth_images = {}, {}, {}
        for target in self._targets:
            view = target.view
            images[view.name] = view.distort_image(target.read_image())
            if ids:
                id_images[view.name] = view.distort_values(target.read_ids(), 0)
            if depths:
                depth_images[view.name] = view.distort_values(target.read_depth(), np.inf)
        return RenderedSet(images, id_images, depth_images)

    def visibility(
        self, state: WorldState, rendered: RenderedSet, indices: Sequence[int]
    ) -> NDArray[np.float64]:
        """Share of each object's pixels that is not hidden, over all cameras together.

        Args:
            state: the world that was rendered.
            rendered: result of render(state) with ids.
            indices: of objects in state.

        Returns:
            (len(indices),) in 0..1; 0 for an object in no image.
        """
        _ = self._context.gl
        views = [target.view for target in self._targets]
        return self._silhouettes.visible_shares(views, state, rendered, indices)

    def close(self) -> None:
        """Frees all memory of the graphics driver."""
        self._context.release()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _textures_in_place(self) -> None:
        self._shadow_map.use(TEXTURE_PLACES["shadow_map"])
        for name, texture in self._textures.items():
            texture.use(TEXTURE_PLACES[name])

    def _draw_shadows(self, gl: moderngl.Context, state: WorldState) -> NDArray[np.float64]:
        """Fills the shadow map around the ego; returns texture place of map points."""
        ego = state.map_T_base.translation
        clip_T_map = shadow_clip_T_map(self.weather, ego)
        self._shadow_target.use()
        self._shadow_target.clear(depth=1.0)
        if self.weather.sun_strength > 0.0 and self.weather.sun_elevation_deg > 0.0:
            gl.enable_only(moderngl.DEPTH_TEST)
            gl.polygon_offset = 1.6, 2.0
            self._static.draw_depth(clip_T_map)
            casting = self._objects.visible(state.objects, clip_T_map, ego)
            self._objects.draw_depth(state.objects, casting, clip_T_map)
            gl.polygon_offset = 0.0, 0.0
        return shadow_place_T_map(clip_T_map)

    def _draw_camera(
        self,
        gl: moderngl.Context,
        target: _Target,
        state: WorldState,
        shadow_T_map: NDArray[np.float64],
        depths: bool,
    ) -> None:
        map_T_camera = state.map_T_base @ target.view.mounted.base_T_camera
        position = map_T_camera.translation
        clip_T_map = clip_T_optical(target.view.ideal) @ map_T_camera.inverse().matrix
        target.write_frame(state, self._lights, map_T_camera, shadow_T_map)
        target.color_target.use()
        target.color_target.clear(depth=1.0)
        (target.full_target if depths else target.id_target).use()
        gl.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        gl.front_face = "cw"
        gl.depth_func = "<="
        focal = target.view.ideal.fy
        seen = self._objects.visible(state.objects, clip_T_map, position, focal)
        self._objects.draw(state.objects, seen, position)
        self._static.draw(clip_T_map, position)
        gl.enable_only(moderngl.DEPTH_TEST)
        self._sky_array.render(vertices=3)
        target.color_target.use()
        target.color_target.depth_mask = False
        gl.enable_only(moderngl.DEPTH_TEST | moderngl.BLEND)
        self._objects.draw_contact_shadows(state.objects, seen, position, strength=0.5)
        target.color_target.depth_mask = True

    def _finish_image(
        self, gl: moderngl.Context, target: _Target, state: WorldState, index: int
    ) -> None:
        target.image_target.use()
        gl.enable_only(moderngl.NOTHING)
        target.color.use(TEXTURE_PLACES["image"])
        rng = np.random.default_rng((self._seed, state.stamp_ns, index))
        shift = rng.integers(0, 512, 2)
        self._post.set("texel", (1.0 / target.view.size[0], 1.0 / target.view.size[1]))
        self._post.set("noise_place", (*shift, self.weather.noise / 255.0))
        self._post_array.render(vertices=3)


class _Target:
    """What one camera is drawn into."""

    def __init__(self, gl: moderngl.Context, view: CameraView) -> None:
        self.view = view
        size = view.size
        self.color = gl.texture(size, 4)
        self.color.repeat_x = self.color.repeat_y = False
        depth_buffer = gl.depth_renderbuffer(size)
        id_buffer = gl.renderbuffer(size, 1, dtype="u2")
        distance = gl.renderbuffer(size, 1, dtype="f4")
        self.color_target = gl.framebuffer([self.color], depth_buffer)
        self.id_target = gl.framebuffer([self.color, id_buffer], depth_buffer)
        self.full_target = gl.framebuffer([self.color, id_buffer, distance], depth_buffer)
        self.image_target = gl.framebuffer([gl.renderbuffer(size, 4)])
        self._frame = gl.buffer(reserve=4 * sum(count for _, count in FRAME_FIELDS))

    def write_frame(
        self,
        state: WorldState,
        lights: dict[str, NDArray[np.float64]],
        map_T_camera: RigidTransform,
        shadow_T_map: NDArray[np.float64],
    ) -> None:
        """Fills and binds the uniform block of this camera."""
        camera, position = self.view.ideal, map_T_camera.translation
        move, pixel_rays = np.eye(4), np.eye(4)
        move[:3, 3] = position
        shift = np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])
        pixel_rays[:3, :3] = map_T_camera.rotation @ np.linalg.inv(camera.matrix) @ shift
        values = {
            **lights,
            "clip_T_offset": clip_T_offset(camera, map_T_camera).T,
            "shadow_T_offset": (shadow_T_map @ move).T,
            "map_R_pixel": pixel_rays.T,
            "camera_position": np.append(position, 1.0),
            "ego": np.append(state.map_T_base.translation - position, 0.0),
        }
        block = np.concatenate([values[name].reshape(-1) for name, _ in FRAME_FIELDS])
        self._frame.write(block.astype(np.float32).tobytes())
        self._frame.bind_to_uniform_block(0)

    def read_image(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB."""
        width, height = self.view.size
        data = np.frombuffer(self.image_target.read(components=4), dtype=np.uint8)
        image = cv2.cvtColor(data.reshape(height, width, 4), cv2.COLOR_RGBA2RGB)
        return np.asarray(image, dtype=np.uint8)

    def read_ids(self) -> NDArray[np.uint16]:
        """(height, width) uint16."""
        width, height = self.view.size
        data = self.id_target.read(components=1, attachment=1, dtype="u2")
        return np.frombuffer(data, dtype=np.uint16).reshape(height, width)

    def read_depth(self) -> NDArray[np.float32]:
        """(height, width) float32 metres along the optical axis."""
        width, height = self.view.size
        data = self.full_target.read(components=1, attachment=2, dtype="f4")
        return np.frombuffer(data, dtype=np.float32).reshape(height, width)


def _textures(
    gl: moderngl.Context, seed: int
) -> dict[str, moderngl.Texture | moderngl.TextureArray]:
    """Surface detail, facades and sensor noise by sampler name."""
    detail = surface_texture()
    surface = gl.texture((SURFACE_SIZE, SURFACE_SIZE), 4, detail.tobytes())
    bays = facade_textures()
    facades = gl.texture_array((bays.shape[2], bays.shape[1], bays.shape[0]), 4, bays.tobytes())
    surface.build_mipmaps()
    facades.build_mipmaps()
    surface.filter = moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR
    facades.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR
    grain = sensor_noise_texture(seed)
    noise = gl.texture((SENSOR_NOISE_SIZE, SENSOR_NOISE_SIZE), 3, grain.tobytes(), dtype="f4")
    noise.filter = moderngl.NEAREST, moderngl.NEAREST
    return {"surface": surface, "facades": facades, "noise": noise}
